// Where the pixels of a map are in a plane.
#pragma once

#include "erffast/kernels.hpp"
#include "erffast/plane.hpp"
#include "erffast/simulate.hpp"

namespace erffast::simulation {

// Two layouts: a plane for each channel; or, for many channels, all channels of a pixel side by side, filled up with zeros to whole
// lines of 64 bytes, in a plane of one channel whose columns are these numbers. What treats all numbers alike (gates, sums, crops)
// need not know which it is.
template <class T>
class Layout {
 public:
  explicit Layout(bool channels_last) : last_(channels_last) {}

  bool channels_last() const { return last_; }
  Index pitch(Index channels) const { return last_ ? (channels + channel_line<T> - 1) / channel_line<T> * channel_line<T> : 1; }
  Index planes(const Value& value) const { return last_ ? 1 : value.channels; }

  // The rectangle that a map takes of its plane.
  Rect rect(const Value& value) const { return rect(value.rect, value.channels); }
  Rect rect(Rect pixels, Index channels) const {
    pixels.x0 *= pitch(channels);
    pixels.width *= pitch(channels);
    return pixels;
  }

  // First pixel of row y of a channel; the next is step(channels) elements on.
  T* row(Plane<T>& plane, Index channel, Index y) const { return last_ ? plane.row(0, y) + channel : plane.row(channel, y); }
  const T* row(const Plane<T>& plane, Index channel, Index y) const { return row(const_cast<Plane<T>&>(plane), channel, y); }
  Index step(Index channels) const { return pitch(channels); }

 private:
  bool last_;
};

}  // namespace erffast::simulation
