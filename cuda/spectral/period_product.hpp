// The product of layers' transfer functions at all frequencies of a period or in a band, on the device.
#pragma once

#include <vector>

#include "memory.hpp"
#include "stream.hpp"

#include "erffast/spectrum.hpp"

namespace erffast::cuda {

// values * 2**exponents [draws, rows, columns].
struct DeviceSpectrum {
  DeviceSpectrum(Index n, Budget* budget) : values(n, budget), exponents(n, budget) {}
  DeviceArray<double2> values;
  DeviceArray<std::int32_t> exponents;
};

// Multiplies all kernels of `layers`, of one spacing, each once, in the CPU's order: the same bits, before exponents are aligned.
void product(const std::vector<const Layers*>& layers, const Frequencies& frequencies, Index draws, Stream& stream, Budget* budget,
             Monitor& monitor, DeviceSpectrum& target);

// The same for the frequencies of a band, and layers of any spacing.
void band_product(const std::vector<const Layers*>& layers, const Frequencies& frequencies, Index draws, Stream& stream, Budget* budget,
                  Monitor& monitor, DeviceSpectrum& target);

}  // namespace erffast::cuda
