// Products with a power of two each, read one by one; and from a coarser spectrum that repeats.
#pragma once

#include "spectral/scaled.cuh"

#include "erffast/step.hpp"

namespace erffast::cuda {

constexpr int each_threads = 256;
constexpr int each_thread = 8;                       // frequencies
constexpr int each_block = each_threads * each_thread;

// Blocks for n frequencies, of kernels that go on from there in steps.
inline dim3 grid_for(Index n) {
  const Index blocks = (n + each_block - 1) / each_block;
  return dim3(static_cast<unsigned>(blocks < 65536 ? blocks : 65536));
}

// 2**-e times z, with the larger component in [0.5, 1); returns e, or 0 for zero.
__device__ inline int to_half(double2& z) {
  const double largest = fmax(fabs(z.x), fabs(z.y));
  if (largest == 0) return 0;
  int e;
  frexp(largest, &e);
  z.x = ldexp(z.x, -e);
  z.y = ldexp(z.y, -e);
  return e;
}

// values [draws, rows, columns] as (re, im), exponents [draws, rows, columns]
struct ProductState {
  double2* values;
  std::int32_t* exponents;
};

// A product on the frequencies of a smaller period, which repeats on those of a larger one (cpp/src/spectral/sampled.hpp).
struct Coarse {
  ProductState state;
  int height, width;   // of its period; of a band, so many that nothing repeats
  int step[2];         // of its frequencies to each of the larger period's
  int rows, columns;   // of the larger spectrum
};

// Its value at frequency i of all draws' larger spectra.
struct CoarseValue {
  double2 z;
  int exponent;
};
__device__ inline CoarseValue coarse_at(const Coarse& coarse, Index i) {
  const Index draw = i / coarse.columns / coarse.rows;
  Index row = i / coarse.columns % coarse.rows * coarse.step[0] % coarse.height;
  Index column = i % coarse.columns * coarse.step[1] % coarse.width;
  const bool conjugate = column > coarse.width / 2;
  if (conjugate) {
    row = row == 0 ? 0 : coarse.height - row;
    column = coarse.width - column;
  }
  const Index at = (draw * coarse.height + row) * (coarse.width / 2 + 1) + column;
  double2 z = coarse.state.values[at];
  if (conjugate) z.y = -z.y;
  return {z, coarse.state.exponents[at]};
}

}  // namespace erffast::cuda
