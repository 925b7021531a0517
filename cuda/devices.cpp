#include "devices.hpp"

#include "check.hpp"

namespace erffast::cuda {

Devices devices() {
  Devices result{cudaSuccess, 0, 0, {}};
  cudaRuntimeGetVersion(&result.runtime);
  cudaDriverGetVersion(&result.driver);
  int count = 0;
  result.error = cudaGetDeviceCount(&count);
  if (result.error != cudaSuccess) cudaGetLastError();
  for (int i = 0; i < count && result.error == cudaSuccess; ++i) {
    cudaDeviceProp p{};
    result.error = cudaGetDeviceProperties(&p, i);
    result.found.push_back({p.name, p.major, p.minor, p.multiProcessorCount, static_cast<Index>(p.totalGlobalMem),
                            static_cast<Index>(p.sharedMemPerBlockOptin)});
  }
  if (result.error == cudaSuccess && result.found.empty()) result.error = cudaErrorNoDevice;
  return result;
}

FreeMemory free_memory() {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for its memory");
  return {static_cast<Index>(free), static_cast<Index>(total)};
}

}  // namespace erffast::cuda
