// Kernels used many times.
#pragma once

#include <vector>

#include "product.hpp"

namespace erffast {

// Multiplies a spectrum by each kernel to the power of its count. Powers of two that no frequency's own exponent could hold go
// into `exponents` [draws].
void multiply_powers(const std::vector<const Layers*>& runs, const Frequencies& frequencies, Index draws, Team& team, Monitor& monitor,
                     const Spectrum& target, Index* exponents);

}  // namespace erffast
