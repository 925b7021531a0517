// The product of layers' transfer functions at many frequencies.
#pragma once

#include <cstdint>
#include <limits>
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

inline constexpr Index no_power = std::numeric_limits<Index>::min();

// Multiplies all kernels of `layers`, each once. Each frequency is one product in a fixed order, whatever the threads; its larger
// component lies in [1, 2), or is zero. Returns the largest exponent of each draw, `no_power` where all is zero.
std::vector<Index> product(const std::vector<const Layers*>& layers, const Frequencies& frequencies, Index draws, Team& team,
                           Monitor& monitor, const Spectrum& target);

}  // namespace erffast
