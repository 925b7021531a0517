// Qualifiers, vector types and built-in variables.
#pragma once

#include <math.h>

#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
// A thread_local variable would run, but neither the sanitizers nor the checks could tell where it ends.
#define __shared__ _Pragma("GCC error \"cuda emulation: declare shared memory with GPU_SHARED or take it from SharedMemory\"")

#define CUDA_EMULATION_VECTORS(T, align2, align4)                      \
  struct alignas(align2) T##2 {                                        \
    T x, y;                                                            \
  };                                                                   \
  struct alignas(align4) T##4 {                                        \
    T x, y, z, w;                                                      \
  };                                                                   \
  inline T##2 make_##T##2(T x, T y) { return {x, y}; }                 \
  inline T##4 make_##T##4(T x, T y, T z, T w) { return {x, y, z, w}; }
CUDA_EMULATION_VECTORS(float, 8, 16)
CUDA_EMULATION_VECTORS(double, 16, 16)
CUDA_EMULATION_VECTORS(int, 8, 16)
#undef CUDA_EMULATION_VECTORS

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// One thread of the system runs one block at a time. In a shared library this model costs one instruction to reach.
#define CUDA_EMULATION_BUILT_IN inline constinit thread_local __attribute__((tls_model("initial-exec")))
CUDA_EMULATION_BUILT_IN uint3 threadIdx{};
CUDA_EMULATION_BUILT_IN uint3 blockIdx{};
CUDA_EMULATION_BUILT_IN dim3 blockDim{};
CUDA_EMULATION_BUILT_IN dim3 gridDim{};
#undef CUDA_EMULATION_BUILT_IN
constexpr int warpSize = 32;
