// What kernels of all engines do with numbers: the largest of a warp, and what fades to zero.
#pragma once

#include "gpu.cuh"

namespace erffast::cuda {

constexpr int warp_lanes = 32;
constexpr unsigned all_lanes = 0xffffffffu;

// The CPU flushes denormals; a GPU has them, so a number below the smallest normal one is set to zero where results are written.
__device__ inline float flushed(float v) { return fabsf(v) < 0x1p-126f ? 0.0f : v; }
__device__ inline double flushed(double v) { return fabs(v) < 0x1p-1022 ? 0.0 : v; }

// The largest value of a warp, in all its lanes; all take part.
template <class T>
__device__ inline T warp_largest(T x) {
  for (int step = warp_lanes / 2; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(all_lanes, x, step);
    x = other > x ? other : x;
  }
  return x;
}

}  // namespace erffast::cuda
