// Transfer functions in double-double arithmetic, many frequencies at a time.
#pragma once

#include <algorithm>
#include <vector>

#include "erffast/kernels.hpp"
#include "erffast/spectrum.hpp"
#include "turns.hpp"

namespace erffast {

// Complex numbers in double-double arithmetic, as arrays of parts.
class ExactNumbers {
 public:
  explicit ExactNumbers(Index n) : n_(n), parts_(static_cast<std::size_t>(4 * n), 0.0) {}

  Index size() const { return n_; }
  ExactKernels::Numbers parts() { return {part(0), part(1), part(2), part(3)}; }
  void fill(double re) {
    std::fill(parts_.begin(), parts_.end(), 0.0);
    std::fill_n(part(0), n_, re);
  }
  void set(Index i, const ExactComplex& z) {
    part(0)[i] = z.re.hi;
    part(1)[i] = z.re.lo;
    part(2)[i] = z.im.hi;
    part(3)[i] = z.im.lo;
  }
  ExactComplex at(Index i) const {
    const double* p = parts_.data() + i;
    return {{p[0], p[n_]}, {p[2 * n_], p[3 * n_]}};
  }
  // += other
  void add(const ExactNumbers& other, const ExactKernels& kernels) {
    kernels.add_scaled(part(0), part(1), other.part(0), other.part(1), 1.0, n_);
    kernels.add_scaled(part(2), part(3), other.part(2), other.part(3), 1.0, n_);
  }

 private:
  double* part(Index i) { return parts_.data() + i * n_; }
  const double* part(Index i) const { return parts_.data() + i * n_; }
  Index n_;
  std::vector<double> parts_;
};

// z[i] = base[i]**count * 2**exponents[i], by squaring: the relative error grows as count * 2**-103.
void power(const ExactNumbers& base, Index count, ExactNumbers& z, std::vector<Index>& exponents, const ExactKernels& kernels);

}  // namespace erffast
