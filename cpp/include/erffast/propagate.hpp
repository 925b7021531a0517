// A chain of backward steps, from one output unit to the input.
#pragma once

#include <vector>

#include "erffast/kernels.hpp"
#include "erffast/monitor.hpp"
#include "erffast/plane.hpp"
#include "erffast/step.hpp"

namespace erffast {

// Scale of the working image. Its peak is held near this power of two, not near 1, so that values down to
// 2**-1022 * 2**-900 of the peak are still normal numbers: whatever is representable in the result (2**-1022 of the peak)
// has been computed with full relative precision on the way. Sums of 2**100 pixels still fit.
template <class T>
inline constexpr int peak_exponent = sizeof(T) == 8 ? 900 : 90;

struct Options {
  Index unit[2] = {0, 0};
  Index channels = 1;        // of the output map; the starting gradient is 1 in each
  Index draws = 1;
  bool non_negative = false; // every tap of every kernel is
  double trim = 0;           // share of the mass that may be left out by trimming (non-negative, unbounded, one channel)
  int threads = 1;
  Index memory_limit = 0;    // bytes for all working images together
};

// What is known of one draw's answer: true values are pixel * 2**exponent.
struct ImageFacts {
  Index exponent = 0;
  double peak = 0;        // of |pixel|
  double border = 0;      // share of the mass (of the squares, for signed chains) dropped at the borders of maps
  double trimmed = 0;     // bound on the share of the mass left out by trimming
  double rounding = 0;    // bound on the relative rounding error of every pixel of a non-negative chain
};

template <class T>
struct Image : ImageFacts {
  Plane<T> plane;
};

// Runs the chain for every draw. `parts`: numbers that a working pixel is kept in, 1, or 2 for double-double arithmetic on taps
// and answers in double. Throws Cancelled, MemoryLimit or std::bad_alloc.
template <class T, int parts = 1>
std::vector<Image<T>> propagate(const std::vector<Run<T>>& runs, const Options& options, Monitor& monitor);

}  // namespace erffast
