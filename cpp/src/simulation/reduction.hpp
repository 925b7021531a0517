// What is told of a gradient: an image, reduced over its channels, and how far another one is from it.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "erffast/simulate.hpp"
#include "simulation/layout.hpp"
#include "simulation/scaled.hpp"

namespace erffast::simulation {

// visit(what a channel's gradient adds to its pixel)
template <class Visit>
void with_reduction(Reduction reduction, const Visit& visit) {
  switch (reduction) {
    case Reduction::signed_sum: return visit([](double g) { return g; });
    case Reduction::absolute: return visit([](double g) { return std::abs(g); });
    case Reduction::positive: return visit([](double g) { return g > 0 ? g : 0.0; });
    default: return visit([](double g) { return g * g; });
  }
}

// Brings the largest of n pixels to [0.5, 1).
inline Drawn normalised(double* image, Index n, Index exponent) {
  const double peak = kernels_of<double>(kernel_table()).max_abs(image, n);
  if (peak == 0) return {0, Fate::dead};  // of positive parts, or of sums that cancel
  const int e = std::ilogb(peak) + 1;
  const double factor = std::ldexp(1.0, -e);
  for (Index i = 0; i < n; ++i) image[i] *= factor;
  return {exponent + e, Fate::alive};
}

// The gradient of the input `value` to `image` [rows, columns].
template <class T>
Drawn reduce(const Scaled<T>& gradient, const Layout<T>& layout, const Value& value, Reduction reduction, double* image) {
  const Rect& r = value.rect;
  const Index n = r.height * r.width;
  std::fill_n(image, n, 0.0);
  const T peak = gradient.present ? largest(gradient.plane) : T(0);
  if (!std::isfinite(peak)) return {0, Fate::not_finite};
  if (peak == 0) return {0, Fate::dead};
  const int e = std::ilogb(peak) + 1;
  const double factor = std::ldexp(1.0, -e);
  const Index step = layout.step(value.channels);
  for (Index c = 0; c < value.channels; ++c) {
    for (Index y = 0; y < r.height; ++y) {
      const T* row = layout.row(gradient.plane, c, y);
      double* sums = image + y * r.width;
      with_reduction(reduction, [&](const auto& reduced) {
        for (Index x = 0; x < r.width; ++x) sums[x] += reduced(static_cast<double>(row[x * step]) * factor);
      });
    }
  }
  if (reduction == Reduction::rms) {
    for (Index i = 0; i < n; ++i) image[i] = std::sqrt(image[i]);
  }
  return normalised(image, n, (gradient.exponent + e) * (reduction == Reduction::square ? 2 : 1));
}

// The largest difference of two gradients, relative to the peak of the first; the other is `times` as large.
template <class T>
double distance(const Scaled<T>& one, const Scaled<T>& other, double times) {
  const double factor = power_of_two<double>(other.exponent - one.exponent) / times;
  const Rect& r = one.plane.rect();  // all numbers of both, whatever their layout
  double furthest = 0, peak = 0;
  for (Index c = 0; c < one.plane.channels(); ++c) {
    for (Index y = 0; y < r.height; ++y) {
      const T *a = one.plane.row(c, y), *b = other.present ? other.plane.row(c, y) : nullptr;
      for (Index x = 0; x < r.width; ++x) {
        const double v = static_cast<double>(a[x]);
        peak = std::max(peak, std::abs(v));
        furthest = std::max(furthest, std::abs(v - (b == nullptr ? 0.0 : static_cast<double>(b[x]) * factor)));
      }
    }
  }
  return std::max(furthest / peak, static_cast<double>(std::numeric_limits<T>::epsilon()));
}

}  // namespace erffast::simulation
