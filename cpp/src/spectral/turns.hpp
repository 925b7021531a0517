// exp(2 pi i k / n) for whole k, in double-double arithmetic.
#pragma once

#include <limits>
#include <vector>

#include "erffast/double_double.hpp"
#include "erffast/step.hpp"

namespace erffast {

struct ExactComplex {
  DoubleDouble re, im;
};

// Fractions of a turn. Any k is a coarse step plus a fine one, so 2 sqrt(n) values are kept and one product gives any other. Where
// fewer than that are to be asked for, `uses`, each is worked out when it is.
class Turns {
 public:
  explicit Turns(Index n, Index uses = std::numeric_limits<Index>::max());

  Index size() const { return n_; }
  ExactComplex exact(Index k) const;  // any k
  // Rounded to double, for k = 0 .. n - 1.
  void fill(std::vector<double>& cosines, std::vector<double>& sines) const;

 private:
  Index n_, step_;
  std::vector<ExactComplex> fine_, coarse_;
};

// (k * factor) modulo n, in [0, n), without overflow for factors below 2**62 / n.
inline Index turn(Index k, Index factor, Index n) {
  const Index r = (k % n) * (factor % n) % n;
  return r < 0 ? r + n : r;
}

}  // namespace erffast
