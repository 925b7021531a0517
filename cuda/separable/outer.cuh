// An image from two profiles, written once.
//
// A thread makes 16 bytes of a row, and keeps its columns over several rows: one multiplication a pixel, so an H100 is expected to be
// bound by its memory's write bandwidth (2001 x 2001 doubles: 32 MB, some 12 us; not measured).
#pragma once

#include "numbers.cuh"

#include "erffast/step.hpp"

namespace erffast::cuda {

template <class T>
struct OuterArguments {
  const double* rows;     // [n_rows], times 2**shift
  const double* columns;  // [n_columns]
  T* out;                 // [n_rows, pitch], rows aligned to 16 bytes
  Index n_rows, n_columns, pitch;
};

template <class T>
struct Sixteen;
template <>
struct Sixteen<float> {
  using type = float4;
  static __device__ type of(const float (&v)[4]) { return {v[0], v[1], v[2], v[3]}; }
};
template <>
struct Sixteen<double> {
  using type = double2;
  static __device__ type of(const double (&v)[2]) { return {v[0], v[1]}; }
};

inline constexpr int outer_threads = 128, outer_rows = 16;

template <class T>
__global__ void __launch_bounds__(outer_threads) outer_kernel(OuterArguments<T> o) {
  constexpr int n = 16 / static_cast<int>(sizeof(T));
  const Index blocks_of_row = (o.pitch / n + outer_threads - 1) / outer_threads;
  const Index j = (static_cast<Index>(blockIdx.x) % blocks_of_row * outer_threads + threadIdx.x) * n;
  const Index first = static_cast<Index>(blockIdx.x) / blocks_of_row * outer_rows;
  if (j >= o.pitch) return;
  double columns[n];
  GPU_UNROLL
  for (int k = 0; k < n; ++k) columns[k] = j + k < o.n_columns ? o.columns[j + k] : 0.0;
  for (Index i = first; i < first + outer_rows && i < o.n_rows; ++i) {
    const double factor = o.rows[i];
    T values[n];
    GPU_UNROLL
    for (int k = 0; k < n; ++k) values[k] = flushed(static_cast<T>(flushed(factor * columns[k])));
    *reinterpret_cast<typename Sixteen<T>::type*>(o.out + i * o.pitch + j) = Sixteen<T>::of(values);
  }
}

}  // namespace erffast::cuda
