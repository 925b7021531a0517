#include "exact_layers.hpp"

namespace erffast {

void power(const ExactNumbers& base, Index count, ExactNumbers& z, std::vector<Index>& exponents, const ExactKernels& kernels) {
  ExactNumbers one = base;
  std::vector<Index> own(static_cast<std::size_t>(base.size()), 0);
  kernels.normalise_complex(one.parts(), own.data(), one.size());
  z = one;
  exponents = own;
  int top = 0;
  while ((count >> (top + 1)) > 0) ++top;
  for (int bit = top - 1; bit >= 0; --bit) {
    ExactNumbers copy = z;
    kernels.multiply_complex(z.parts(), copy.parts(), z.size());
    for (Index& e : exponents) e *= 2;
    kernels.normalise_complex(z.parts(), exponents.data(), z.size());
    if (((count >> bit) & 1) == 0) continue;
    kernels.multiply_complex(z.parts(), one.parts(), z.size());
    for (std::size_t i = 0; i < own.size(); ++i) exponents[i] += own[i];
    kernels.normalise_complex(z.parts(), exponents.data(), z.size());
  }
}

}  // namespace erffast
