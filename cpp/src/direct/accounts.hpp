// What a draw has lost and rounded on its way, and the power of two taken out of its pixels.
#pragma once

#include <cmath>
#include <limits>

#include "direct/scaled_taps.hpp"
#include "erffast/double_double.hpp"
#include "erffast/propagate.hpp"

namespace erffast {

template <class T, int parts = 1>
constexpr double unit_roundoff = parts == 2 ? double_double_roundoff : sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;

template <class T, int parts>
struct Accounts {
  Index exponent = -peak_exponent<T>;
  double mass = std::ldexp(1.0, peak_exponent<T>);  // of a non-negative chain on the plane, at the working scale
  double trimmed = 0, rounding = 0;
  double log_kept = 0;  // logarithm of the share of the mass that no border took

  // A layer whose taps were multiplied by 2**scale.
  void add_layer(const ScaledTaps<T>& taps, int scale) {
    exponent -= scale;
    // one for each term of a sum, and in float32 one for the taps, which were rounded to it
    rounding += static_cast<double>(taps.terms() + (sizeof(T) == 4 ? 1 : 0)) * unit_roundoff<T, parts>;
    mass *= std::ldexp(taps.total(), scale);
  }

  // Pixels multiplied by factors of their own.
  void add_rescaled() { rounding += unit_roundoff<T, parts>; }

  // The border of a map takes what lies outside. Returns whether anything is left.
  bool clip(double inside, double outside) {
    if (!(inside > 0)) {
      log_kept = -std::numeric_limits<double>::infinity();
      return false;
    }
    log_kept -= std::log1p(outside / inside);
    return true;
  }

  // What may be taken of a non-negative chain of `layers` after `done` more, in the unit of the pixels.
  double trim_budget(double share, Index done, Index layers) const { return share * mass * static_cast<double>(done) / static_cast<double>(layers); }
  void add_trimmed(double taken) { trimmed += taken / mass; }

  ImageFacts facts(double peak) const {
    const double last = parts == 2 ? unit_roundoff<T> : 0.0;  // of two parts, the answer is the high ones
    return {exponent, peak, log_kept < 0 ? -std::expm1(log_kept) : 0, trimmed, rounding + last};
  }
};

}  // namespace erffast
