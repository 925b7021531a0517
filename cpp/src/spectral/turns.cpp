#include "turns.hpp"

#include <cmath>

namespace erffast {
namespace {

constexpr DoubleDouble quarter_pi = {0.78539816339744828, 3.0616169978683830e-17};

// a / m for a small whole m.
DoubleDouble divide(DoubleDouble a, double m) {
  const double q = a.hi / m;
  const double rest = std::fma(-q, m, a.hi) + a.lo;
  return quick_two_sum(q, rest / m);
}

// Taylor series at 0 <= x <= pi / 4: the term of x**27 is below 2**-104.
ExactComplex series(DoubleDouble x) {
  const DoubleDouble square = x * x;
  DoubleDouble cosine = {1, 0}, sine = x, even = {1, 0}, odd = x;
  for (int i = 1; i <= 14; ++i) {
    even = divide(-(even * square), (2.0 * i - 1) * (2.0 * i));
    odd = divide(-(odd * square), (2.0 * i) * (2.0 * i + 1));
    cosine = cosine + even;
    sine = sine + odd;
  }
  return {cosine, sine};
}

// exp(2 pi i k / n), 0 <= k < n, by the octant it lies in: exact at the eighths' ends.
ExactComplex direct(Index k, Index n) {
  const Index octant = 8 * k / n;
  const bool back = octant % 2 != 0;  // measured from the octant's end, so that x <= pi / 4 from an axis
  const Index rest = back ? (octant + 1) * n - 8 * k : 8 * k - octant * n;
  const double m = static_cast<double>(n);
  const double q = static_cast<double>(rest) / m;
  const DoubleDouble part = quick_two_sum(q, std::fma(-q, m, static_cast<double>(rest)) / m);
  const ExactComplex z = series(part * quarter_pi);
  // turns of a quarter, counted from the axis that x is measured from
  const Index quarter = (octant + 1) / 2 % 4;
  const DoubleDouble c = z.re, s = back ? -z.im : z.im;
  switch (quarter) {
    case 0: return {c, s};
    case 1: return {-s, c};
    case 2: return {-c, -s};
    default: return {s, -c};
  }
}

}  // namespace

Turns::Turns(Index n, Index uses) : n_(n), step_(static_cast<Index>(std::sqrt(static_cast<double>(n))) + 1) {
  if (uses < 2 * step_) return;
  for (Index k = 0; k < step_; ++k) fine_.push_back(direct(k % n, n));
  for (Index k = 0; k * step_ < n; ++k) coarse_.push_back(direct(k * step_, n));
}

ExactComplex Turns::exact(Index k) const {
  k %= n_;
  if (k < 0) k += n_;
  if (coarse_.empty()) return direct(k, n_);
  const ExactComplex& a = coarse_[static_cast<std::size_t>(k / step_)];
  if (k % step_ == 0) return a;
  const ExactComplex& b = fine_[static_cast<std::size_t>(k % step_)];
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

void Turns::fill(std::vector<double>& cosines, std::vector<double>& sines) const {
  cosines.resize(static_cast<std::size_t>(n_));
  sines.resize(static_cast<std::size_t>(n_));
  for (Index k = 0; k < n_; ++k) {
    const ExactComplex z = exact(k);
    cosines[static_cast<std::size_t>(k)] = z.re.hi;
    sines[static_cast<std::size_t>(k)] = z.im.hi;
  }
}

}  // namespace erffast
