// The product of layers' transfer functions at many frequencies.
#pragma once

#include <cstdint>
#include <vector>

#include "erffast/monitor.hpp"
#include "erffast/spectrum.hpp"
#include "erffast/threads.hpp"

namespace erffast {

// values * 2**exponents: [draws, rows, columns] of some frequencies.
struct Spectrum {
  Complex* values;
  std::int32_t* exponents;
};

// Multiplies all kernels of `layers`, each once. Each frequency is one product in a fixed order, whatever the threads.
void product(const std::vector<const Layers*>& layers, const Frequencies& frequencies, Index draws, Team& team, Monitor& monitor,
             const Spectrum& target);

}  // namespace erffast
