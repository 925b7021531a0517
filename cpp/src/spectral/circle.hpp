// Half turns of a period, from a table.
#pragma once

#include <cmath>
#include <vector>

#include "erffast/spectrum.hpp"
#include "turns.hpp"

namespace erffast {

// exp(2 pi i k / (2 n)) for a period of n pixels.
class Circle {
 public:
  explicit Circle(Index n) : halves_(2 * n) { Turns(halves_).fill(cosines_, sines_); }

  // k * factor half turns
  Index index(Index k, Index factor) const { return turn(k, factor, halves_); }
  // Two of these, added.
  Index further(Index i, Index step) const { return i + step < halves_ ? i + step : i + step - halves_; }
  double cosine(Index i) const { return cosines_[static_cast<std::size_t>(i)]; }
  double sine(Index i) const { return sines_[static_cast<std::size_t>(i)]; }
  Complex wave(Index k, Index factor) const { return {cosine(index(k, factor)), sine(index(k, factor))}; }
  const std::vector<double>& cosines() const { return cosines_; }
  const std::vector<double>& sines() const { return sines_; }

  // The sum over `count` pixels from `first` on of their waves of frequency k.
  Complex sum(Index k, Index first, Index count) const {
    if (k == 0) return static_cast<double>(count);
    return wave(k, 2 * first + count - 1) * (sine(index(k, count)) / sine(index(k, 1)));
  }

 private:
  Index halves_;
  std::vector<double> cosines_, sines_;
};

}  // namespace erffast
