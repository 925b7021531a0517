// Which layers of a chain go through the image together, and at which scale.
#pragma once

#include <cmath>
#include <vector>

#include "direct/scaled_taps.hpp"
#include "erffast/kernels.hpp"
#include "erffast/propagate.hpp"

namespace erffast {

// Layers that go together. What a thread keeps of a group, eight rows and those that its layers look back, is to stay in the second
// cache beside what streams through; the rows that a band computes in vain grow with the group.
inline constexpr std::size_t most_layers = 32;
inline constexpr Index most_back = 48;
inline constexpr Index most_bytes = 1 << 20;
inline constexpr Index most_reach = 1024;  // columns that a layer looks back: each of those rows is that much longer

struct Position {  // in the chain: the next layer
  std::size_t run = 0;
  Index step = 0;
};

// Layers with stride 1 on the plane, of one channel.
template <class T>
bool fusible(const Run<T>& run, const Rect& rect, Index channels) {
  return !run.bounded && run.scale == nullptr && run.stride[0] == 1 && run.stride[1] == 1 && run.dilation[0] == 1 &&
         run.kernel[0] <= most_kernel_rows && run.dilation[1] * (run.kernel[1] - 1) <= most_reach && run.channels_out <= 1 &&
         run.channels_in == 1 && channels == 1 && (rect.height > 1 || run.kernel[0] > 1);
}

// visit(run, step) for the layers of one channel from `at` on that go together, at most `most`; returns the place after them. How many
// depends on sizes only: what is trimmed after a group is part of the result.
template <class T, class Visit>
Position gather_group(const std::vector<Run<T>>& runs, Position at, const Rect& rect, std::size_t most, const Visit& visit) {
  Index width = rect.width, back = 0;
  for (std::size_t layers = 0; layers < most && at.run < runs.size() && fusible(runs[at.run], rect, 1); ++layers) {
    const Run<T>& run = runs[at.run];
    width += run.dilation[1] * (run.kernel[1] - 1);
    back += run.kernel[0] - 1;
    const Index bytes = (rows_at_once + back) * width * static_cast<Index>(sizeof(T));
    if (layers > 0 && (back > most_back || bytes > most_bytes)) break;
    visit(run, at.step);
    if (++at.step == run.count) at = {at.run + 1, 0};
  }
  return at;
}

// The scale of a group is chosen before its first layer: after each, the peak is at most what the gains allow, and the taps of each
// bring that bound to 2**peak_exponent.
template <class T>
class PeakBound {
 public:
  explicit PeakBound(double peak) : bound_(peak) {}

  // Pixels multiplied by factors up to `largest`.
  void rescale(double largest) {
    if (largest > 0) bound_ = bound_ * Magnitude(largest);
  }

  // The power of two for the taps of the next layer.
  int next(const Magnitude& gain) {
    bound_ = bound_ * gain;
    const int exponent = peak_exponent<T> - bound_.exponent;
    bound_.exponent = peak_exponent<T>;
    return exponent;
  }

 private:
  Magnitude bound_;
};

// Where cancellation within a group has brought the peak down by half the range kept for small pixels, the group is made again in
// halves.
template <class T>
bool lost_range(double peak, std::size_t layers) {
  return peak < std::ldexp(1.0, peak_exponent<T> / 2) && layers > 1;
}

}  // namespace erffast
