// Kernels in which each warp works alone: its sums by shuffles in a fixed order; what several warps find is put together by the host or by
// a second launch. So there are no barriers, and the answers do not depend on which warp comes first.
#pragma once

#include "spectral/scaled.cuh"

#include "erffast/step.hpp"

namespace erffast::cuda {

constexpr int look_threads = 128;
constexpr int look_warps = look_threads / warp_lanes;

__device__ inline Index warp_of_grid() { return blockIdx.x * Index{look_warps} + threadIdx.x / warp_lanes; }
__device__ inline int lane() { return static_cast<int>(threadIdx.x % warp_lanes); }

// Blocks for n warps, or n threads.
inline dim3 warps_for(Index n) { return dim3(static_cast<unsigned>((n + look_warps - 1) / look_warps)); }
inline dim3 threads_for(Index n) { return dim3(static_cast<unsigned>((n + look_threads - 1) / look_threads)); }

}  // namespace erffast::cuda
