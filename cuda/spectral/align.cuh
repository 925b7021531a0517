// Powers of two of a whole spectrum: factors computed on coarser frequencies, the largest power, and all brought to it.
//
// Expected on an H100, not measured: every kernel here reads and writes each frequency once, 20 to 40 bytes; 2016 x 2016 pixels in 15 to 30 us.
#pragma once

#include "spectral/coarse.cuh"

#include <climits>

namespace erffast::cuda {

constexpr int no_exponent = INT_MIN;  // of a spectrum of zeros

__global__ void __launch_bounds__(each_threads) ones_kernel(ProductState state, Index n) {
  for (Index i = blockIdx.x * Index{each_threads} + threadIdx.x; i < n; i += Index{gridDim.x} * each_threads) {
    state.values[i] = make_double2(1, 0);
    state.exponents[i] = 0;
  }
}

__global__ void __launch_bounds__(each_threads) multiply_coarse_kernel(ProductState state, Coarse coarse, Index n) {
  for (Index i = blockIdx.x * Index{each_threads} + threadIdx.x; i < n; i += Index{gridDim.x} * each_threads) {
    const auto [z, exponent] = coarse_at(coarse, i);
    const double2 p = state.values[i];
    double2 product = make_double2(p.x * z.x - p.y * z.y, p.x * z.y + p.y * z.x);
    state.exponents[i] += exponent + to_half(product);
    state.values[i] = product;
  }
}

// tops [draws], at first `no_exponent`: the least power of two above all components of a draw. Blocks [draws][frequencies / each_block].
__global__ void __launch_bounds__(each_threads) largest_power_kernel(ProductState state, Index size, int* tops) {
  const Index tiles = (size + each_block - 1) / each_block, draw = blockIdx.x / tiles;
  const Index first = blockIdx.x % tiles * each_block + threadIdx.x;
  int top = no_exponent;
  for (int k = 0; k < each_thread; ++k) {
    const Index i = first + k * each_threads;
    if (i >= size) break;
    double2 z = state.values[draw * size + i];
    const int exponent = state.exponents[draw * size + i];
    if (z.x != 0 || z.y != 0) top = max(top, exponent + to_half(z));
  }
  top = warp_largest(top);
  if (threadIdx.x % warp_lanes == 0 && top != no_exponent) atomicMax(tops + draw, top);
}

// values * 2**(exponents - top), or zero where that is no normal number.
__global__ void __launch_bounds__(each_threads) align_kernel(ProductState state, Index size, const int* tops) {
  const Index tiles = (size + each_block - 1) / each_block, draw = blockIdx.x / tiles;
  const Index first = blockIdx.x % tiles * each_block + threadIdx.x;
  const int top = tops[draw];
  if (top == no_exponent) return;
  for (int k = 0; k < each_thread; ++k) {
    const Index i = draw * size + first + k * each_threads;
    if (first + k * each_threads >= size) break;
    const Index shift = static_cast<Index>(state.exponents[i]) - top;
    const double factor = shift < -1022 ? 0.0 : ldexp(1.0, static_cast<int>(shift));
    const double2 z = state.values[i];
    state.values[i] = make_double2(flushed(z.x * factor), flushed(z.y * factor));
  }
}

}  // namespace erffast::cuda
