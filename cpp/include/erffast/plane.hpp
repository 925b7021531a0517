// The working image of the direct engine.
#pragma once

#include <algorithm>

#include "erffast/kernels.hpp"
#include "erffast/memory.hpp"
#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast {

// Channels of one rectangle, each row between two zero margins, so that a tap may read beyond the rectangle's sides without
// a test. Shrinking the rectangle moves no pixels: it zeroes what falls into the margins.
//   pixel (c, y, x) of the rectangle: data[(c * rows + top + y) * parts * pitch + left + x]
// Double-double pixels have two parts: each row of high parts, which are the pixels rounded to T, is followed by the row of
// its low parts, `low()` elements further on. What only looks at pixels reads the high parts and need not know.
template <class T>
class Plane {
 public:
  explicit Plane(Index parts = 1) : parts_(parts) {}

  // Makes room; the contents are undefined. `limit`: bytes allowed for this plane.
  void reshape(Index channels, const Rect& rect, Index margin, Index limit) {
    // In floating point: the sides are user's numbers, and their product may exceed 64 bits.
    const double pitch = static_cast<double>(rect.width) + 2.0 * static_cast<double>(margin) + overrun;
    const double bytes = static_cast<double>(channels) * static_cast<double>(rect.height) * static_cast<double>(parts_) * pitch * sizeof(T);
    if (bytes > static_cast<double>(limit)) throw MemoryLimit(static_cast<Index>(std::min(bytes, 0x1p62)));
    channels_ = channels;
    rect_ = rect;
    margin_ = margin;
    rows_ = rect.height;
    left_ = margin;
    top_ = 0;
    pitch_ = rect.width + 2 * margin + overrun;
    const Index wanted = channels_ * rows_ * parts_ * pitch_;
    if (wanted <= capacity_) return;
    // A growing field would ask for a little more at each layer: take half as much again where the limit allows it.
    allocate(std::min(wanted + wanted / 2, limit / static_cast<Index>(sizeof(T))));
  }

  // Takes room for an image to come, within the limit: what is never written costs nothing, and a plane that grows in steps is
  // written afresh each time.
  void reserve(double height, double width, Index margin, Index limit) {
    const double pixels = height * static_cast<double>(parts_) * (width + 2.0 * static_cast<double>(margin) + overrun);
    if (pixels * sizeof(T) <= static_cast<double>(limit) && pixels > static_cast<double>(capacity_)) allocate(static_cast<Index>(pixels));
  }

  T* row(Index channel, Index y) { return data_.get() + (channel * rows_ + top_ + y) * parts_ * pitch_ + left_; }
  const T* row(Index channel, Index y) const { return const_cast<Plane*>(this)->row(channel, y); }

  // From a pixel's high part to its low part.
  Index low() const { return pitch_; }

  // Zeroes both margins of one row, in all parts.
  void clear_margins(Index channel, Index y) {
    T* p = row(channel, y);
    for (Index part = 0; part < parts_; ++part, p += pitch_) {
      std::fill(p - margin_, p, T(0));
      std::fill(p + rect_.width, p + rect_.width + margin_ + overrun, T(0));
    }
  }

  // Of rows [y0, y1), of which there is one: what stands between two rows is cleared at once.
  void clear_margins(Index channel, Index y0, Index y1) {
    if (parts_ > 1) {
      for (Index y = y0; y < y1; ++y) clear_margins(channel, y);
      return;
    }
    T* p = row(channel, y0);
    std::fill(p - margin_, p, T(0));
    for (Index y = y0 + 1; y < y1; ++y, p += pitch_) std::fill(p + rect_.width, p + pitch_, T(0));
    std::fill(p + rect_.width, p + rect_.width + margin_ + overrun, T(0));
  }

  // Keeps rows [y0, y1) and columns [x0, x1), counted from the rectangle's corner.
  void crop(Index y0, Index y1, Index x0, Index x1) {
    const Index cut_right = rect_.width - x1;
    rect_ = {rect_.y0 + y0, rect_.x0 + x0, y1 - y0, x1 - x0};
    top_ += y0;
    left_ += x0;
    if (x0 == 0 && cut_right == 0) return;
    for (Index c = 0; c < channels_; ++c) {
      for (Index y = 0; y < rect_.height; ++y) clear_margins(c, y);
    }
  }

  // Leaves nothing: an all-zero image.
  void clear() {
    rect_.height = rect_.width = 0;
  }

  bool empty() const { return rect_.height <= 0 || rect_.width <= 0; }
  Index channels() const { return channels_; }
  const Rect& rect() const { return rect_; }

 private:
  void allocate(Index n) {
    data_.reset();
    capacity_ = 0;
    data_ = new_pixels<T>(n);
    capacity_ = n;
  }

  Pixels<T> data_;
  Index capacity_ = 0;
  Index parts_, channels_ = 0, rows_ = 0, pitch_ = 0, left_ = 0, top_ = 0, margin_ = 0;
  Rect rect_;
};

}  // namespace erffast
