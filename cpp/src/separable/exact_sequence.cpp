#include "exact_sequence.hpp"

#include <algorithm>
#include <cmath>

#include "erffast/kernels.hpp"

namespace erffast {
ExactSequence::ExactSequence(const Sequence& kernel)
    : n_(kernel.size()), pitch_(n_ + overrun), origin_(kernel.origin), exponent_(kernel.exponent) {
  parts_.assign(static_cast<std::size_t>(2 * pitch_), 0.0);
  std::copy_n(kernel.data(), n_, hi());
  rescale();
}

void ExactSequence::rescale() {
  const int up = peak_exponent<double> - binary_exponent(kernel_table().f64.max_abs(hi(), n_));
  times_power(parts_, up);
  exponent_ -= up;
}

ExactSequence ExactSequence::times(const ExactSequence& other) const {
  if (n_ < other.n_) return other.times(*this);
  const Index m = other.n_;
  ExactSequence out;
  out.n_ = n_ + m - 1;
  out.pitch_ = out.n_ + overrun;
  out.origin_ = origin_ + other.origin_;
  out.parts_.resize(static_cast<std::size_t>(2 * out.pitch_));
  const Index margin = m - 1, low = n_ + 2 * margin + overrun;
  std::vector<double> source(static_cast<std::size_t>(2 * low), 0.0);
  std::copy_n(hi(), n_, source.data() + margin);
  std::copy_n(lo(), n_, source.data() + low + margin);
  // the other factor is brought to a sum near 2**90, as in Products
  const int down = 90 - binary_exponent(kernel_table().f64.sum(other.hi(), m));
  std::vector<Tap<double>> taps;
  taps.reserve(static_cast<std::size_t>(2 * m));
  for (const double* part : {other.hi(), other.lo()}) {
    for (Index t = 0; t < m; ++t) taps.push_back({source.data() + margin - t, std::ldexp(part[t], down)});
  }
  kernel_table().exact->fir(out.hi(), out.pitch_, taps.data(), 2 * m, low, out.n_);
  out.exponent_ = exponent_ + other.exponent_ - down;
  out.rescale();
  return out;
}

Sequence ExactSequence::rounded(Index products) const {
  Sequence s;
  s.values.assign(hi(), hi() + n_);
  s.origin = origin_;
  s.exponent = exponent_;
  s.rounding = 0x1p-53 + static_cast<double>(products) * 0x1p-93;
  return s;
}

}  // namespace erffast
