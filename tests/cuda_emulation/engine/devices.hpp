// The emulated devices.
#pragma once

#include <cstddef>

namespace cuda_emulation {

// The one that this thread of the host has chosen.
int current_device();

inline constexpr std::size_t shared_by_default = std::size_t{48} << 10;  // bytes that a block may have without permission

}  // namespace cuda_emulation
