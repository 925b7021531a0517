// Trimming: the working image of a deep non-negative chain is mostly tail. Rows and columns at its sides are left out while
// their mass stays within a budget. In a non-negative chain every later layer multiplies all mass by the same gain, so the
// shares left out add up to a bound on what is missing from the result, in total and in any single pixel.
// With no budget only rows and columns that are entirely zero (underflowed) go: those below 2**-1900 of the peak.
#pragma once

#include <algorithm>
#include <cmath>

#include "erffast/plane.hpp"

namespace erffast {

// A quarter of `budget` for each end of [first, last): takes what fits it, and adds its mass to `taken`. What one end does not use is
// not handed on, and one line is left.
template <class MassAt>
void shave(Index& first, Index& last, double budget, double& taken, const MassAt& mass_at) {
  for (const bool from_front : {true, false}) {
    double side = 0;
    while (last - first > 1) {
      const double mass = mass_at(from_front ? first : last - 1);
      if (side + mass > budget / 4) break;
      side += mass;
      from_front ? ++first : --last;
    }
    taken += side;
  }
}

// What has been taken, rounded up.
inline double taken_at_most(double taken) { return taken * (1 + 1e-9); }

// Takes away outer rows and columns whose mass together stays within `budget` (same unit as the pixels); returns what was
// taken, rounded up. Cost: the rows and columns taken and one more at each side.
template <class T>
double trim_sides(Plane<T>& plane, double budget, const Kernels<T>& kernels) {
  const Rect rect = plane.rect();
  Index y0 = 0, y1 = rect.height, x0 = 0, x1 = rect.width;
  const auto row_mass = [&](Index y) { return kernels.sum(plane.row(0, y) + x0, x1 - x0); };
  // Sixteen columns at a time, along the rows: down a single column every pixel is another line of memory.
  constexpr Index batch = 16;
  double masses[batch] = {};
  Index known = -1;
  const auto column_mass = [&](Index x) {
    if (known != x / batch) {
      known = x / batch;
      const Index begin = known * batch, end = std::min(begin + batch, rect.width);
      std::fill_n(masses, batch, 0.0);
      for (Index y = y0; y < y1; ++y) {
        for (Index i = begin; i < end; ++i) masses[i - begin] += static_cast<double>(plane.row(0, y)[i]);
      }
    }
    return masses[x % batch];
  };
  double taken = 0;
  if (rect.height > 1) shave(y0, y1, budget, taken, row_mass);
  shave(x0, x1, budget, taken, column_mass);
  if (y0 > 0 || y1 < rect.height || x0 > 0 || x1 < rect.width) plane.crop(y0, y1, x0, x1);
  return taken_at_most(taken);
}

// The same with no budget, for any sign and number of channels: sides that are exactly zero.
template <class T>
void trim_zeros(Plane<T>& plane) {
  const Rect rect = plane.rect();
  Index y0 = 0, y1 = rect.height, x0 = 0, x1 = rect.width;
  const auto row_zero = [&](Index y) {
    for (Index c = 0; c < plane.channels(); ++c) {
      const T* p = plane.row(c, y);
      for (Index x = x0; x < x1; ++x) {
        if (p[x] != T(0)) return false;
      }
    }
    return true;
  };
  while (y1 - y0 > 1 && row_zero(y0)) ++y0;
  while (y1 - y0 > 1 && row_zero(y1 - 1)) --y1;
  Index first = rect.width - 1, last = 0;  // columns that are not zero, looked for along the rows
  for (Index c = 0; c < plane.channels(); ++c) {
    for (Index y = y0; y < y1; ++y) {
      const T* p = plane.row(c, y);
      Index x = 0;
      while (x < first && p[x] == T(0)) ++x;
      first = std::min(first, x);
      x = rect.width - 1;
      while (x > last && p[x] == T(0)) --x;
      last = std::max(last, x);
    }
  }
  x0 = first;
  x1 = std::max(first, last) + 1;
  if (y0 > 0 || y1 < rect.height || x0 > 0 || x1 < rect.width) plane.crop(y0, y1, x0, x1);
}

}  // namespace erffast
