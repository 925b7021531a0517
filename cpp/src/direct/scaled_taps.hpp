// The taps of one kernel, scaled by a power of two: they carry the exponent of the working image.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "erffast/step.hpp"

namespace erffast {

// A positive number of any size: mantissa * 2**exponent, mantissa in [0.5, 1).
struct Magnitude {
  double mantissa = 0;
  int exponent = 0;

  explicit Magnitude(double value) { mantissa = std::frexp(value, &exponent); }
  Magnitude operator*(const Magnitude& other) const {
    Magnitude product(mantissa * other.mantissa);
    product.exponent += exponent + other.exponent;
    return product;
  }
};

template <class T>
class ScaledTaps {
 public:
  ScaledTaps(const Run<T>& run, Index which, Index draw) {
    const Index out = run.channels_out == 0 ? 1 : run.channels_out;
    size_ = out * run.channels_in * run.kernel[0] * run.kernel[1];
    source_ = run.taps + ((run.n_kernels == 1 ? 0 : which) * run.tap_draws + (run.tap_draws == 1 ? 0 : draw)) * size_;
    const Index taps = run.kernel[0] * run.kernel[1];
    // Largest gain of the peak: over the input channels, the sum of |w| that meets one pixel.
    const Index per_group = run.channels_out == 0 ? 1 : run.channels_out / run.groups;
    double gain = 0;
    for (Index g = 0; g < (run.channels_out == 0 ? 1 : run.groups); ++g) {
      for (Index c = 0; c < run.channels_in; ++c) {
        double met = 0;
        Index terms = 0;
        for (Index o = 0; o < per_group; ++o) {
          const T* w = source_ + ((g * per_group + o) * run.channels_in + c) * taps;
          for (Index t = 0; t < taps; ++t) {
            met += std::abs(static_cast<double>(w[t])) * 0x1p-64;  // the largest doubles must not overflow
            total_ += static_cast<double>(w[t]);
            terms += w[t] != T(0);
          }
        }
        gain = std::max(gain, met);
        terms_ = std::max(terms_, terms);
      }
    }
    gain_ = gain > 0 ? Magnitude(gain) * Magnitude(0x1p64) : Magnitude(1);
  }

  // Most that the peak can grow by; 1 for taps that are all zero.
  const Magnitude& gain() const { return gain_; }

  const T* scaled(int exponent) {
    if (values_.empty() || exponent != exponent_) {
      values_.resize(static_cast<std::size_t>(size_));
      for (Index i = 0; i < size_; ++i) values_[static_cast<std::size_t>(i)] = static_cast<T>(std::ldexp(source_[i], exponent));
      exponent_ = exponent;
    }
    return values_.data();
  }

  double total() const { return total_; }
  Index terms() const { return terms_; }

 private:
  const T* source_;
  Index size_;
  Magnitude gain_{1};
  double total_ = 0;
  Index terms_ = 0;
  std::vector<T> values_;
  int exponent_ = 0;
};

}  // namespace erffast
