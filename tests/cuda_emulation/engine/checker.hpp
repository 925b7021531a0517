// The checks of the checked build: every access of a kernel to memory comes here before it is done.
#pragma once

#include <cstddef>

namespace cuda_emulation {

// `caller`: the address in the code, by which a finding names its line. Nothing happens outside kernels.
void check_access(void* address, std::size_t bytes, bool write, void* caller);

}  // namespace cuda_emulation
