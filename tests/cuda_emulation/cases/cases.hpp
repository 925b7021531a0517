// One case: a kernel and its host code with a single mistake, or with none. `cases NAME` runs it and prints what the device computed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "gpu.cuh"

namespace cases {

namespace gpu = erffast::cuda;
inline constexpr int threads = 64;  // of a block: two warps

// What the kernels of the cases work on: `threads` numbers each, on the device and on the host.
struct Arrays {
  float* out = nullptr;  // zeros
  float* in = nullptr;   // 0, 1, 2, ...
  std::vector<float> host;
};

using Run = cudaError_t (*)(Arrays& arrays);
std::map<std::string, Run>& all();

struct Add {
  Add(const char* name, Run run) { all().emplace(name, run); }
};

// One block, unless said otherwise.
template <class... P, class... A>
cudaError_t start(void (*kernel)(P...), std::size_t shared, A... arguments) {
  return gpu::launch(kernel, dim3(1), dim3(threads), shared, nullptr, arguments...);
}

__device__ inline int thread() { return static_cast<int>(threadIdx.x); }

}  // namespace cases

#define CASE(name, arrays)                                    \
  cudaError_t run_##name(arrays);                             \
  const cases::Add add_##name{#name, &run_##name};            \
  cudaError_t run_##name(arrays)
