// Non-negative sequences: profiles while they are composed.
#pragma once

#include <vector>

#include "erffast/monitor.hpp"
#include "erffast/separable.hpp"
#include "erffast/step.hpp"

namespace erffast {

// Values with their place, scale and accounts. Exact powers of two are taken out, so that the peak stands near 2**900 and values
// down to 2**-1922 of it are normal numbers.
struct Sequence {
  std::vector<double> values;
  Index origin = 0;
  Index exponent = 0;   // true value = value * 2**exponent
  double trimmed = 0;   // share of the mass left out, a bound
  double rounding = 0;  // relative, a bound for every value

  Index size() const { return static_cast<Index>(values.size()); }
  double* data() { return values.data(); }
  const double* data() const { return values.data(); }
};

// The power of two e such that value / 2**e lies in [0.5, 1).
int binary_exponent(double value);

// values * 2**e, exact.
void times_power(std::vector<double>& values, int e);

// A sum of m terms is taken in chunks of 64, so that it has at most 64 + m / 64 roundings, not m.
double sum_rounding(Index terms);

// Brings the peak to [2**899, 2**900) by a power of two.
void rescale(Sequence& s);

// Leaves out at most the share `budget` of the mass at the two ends together; without a budget what is exactly zero there.
void trim(Sequence& s, double budget);

// Leaves out, unbooked, what is too faint for any result: ends below 2**-1200 of the mass. Later layers multiply all mass by one
// gain, so a chain of fewer than 2**40 layers on fewer than 2**60 pixels loses less than 2**-1100 of the final peak, in any pixel;
// the smallest value of a result is 2**-1022 of it, and rounds at 2**-1075. Only where no border takes mass.
void drop_faint(Sequence& s);

// Products of sequences, by direct sums: all terms are positive, so every value keeps its *relative* precision far into the tails,
// which a Fourier transform cannot give (its error is relative to the peak).
class Products {
 public:
  Products(const Composing& composing, Monitor& monitor) : composing_(composing), monitor_(monitor) {}

  // a * b, rescaled.
  Sequence of(const Sequence& a, const Sequence& b) const;

  // Throws MemoryLimit where the working copies of a product of so many values do not fit.
  void require(Index values) const;

  // out[x] = sum over t of taps[t] * source[x - t], x in [0, n_out), of which whole tiles are written. `taps` has zeros behind its
  // n_taps values up to a multiple of taps_at_once; the source has zeros before and behind its n_source values, as far as a tile
  // meets them.
  void sums(const double* source, Index n_source, const std::vector<double>& taps, Index n_taps, double* out, Index n_out) const;

 private:
  const Composing& composing_;
  Monitor& monitor_;
};

}  // namespace erffast
