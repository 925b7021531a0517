// Kernels used many times, on the device.
#pragma once

#include <vector>

#include "spectral/period_product.hpp"
#include "spectral/session.hpp"

namespace erffast::cuda {

// Multiplies a spectrum by each kernel to the power of its count. Powers of two that no frequency's own exponent could hold go into
// `exponents` [draws].
void multiply_powers(const std::vector<const Layers*>& runs, const Frequencies& frequencies, Index draws, Session& session, Monitor& monitor,
                     DeviceSpectrum& target, Index* exponents);

}  // namespace erffast::cuda
