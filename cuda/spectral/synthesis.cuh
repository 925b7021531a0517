// Pixels from a band of frequencies: two small matrix products (cpp/src/spectral/synthesis.cpp, in whose order sums are taken).
//
// Expected on an H100, not measured: a window of 2147 x 2147 pixels from 47 x 24 frequencies is 1.1e8 multiply-adds, 8 us, and 37 MB of pixels
// written, 12 us; to the host they travel in 1 to 2 ms, where they are wanted there.
#pragma once

#include "spectral/warps.cuh"

namespace erffast::cuda {

constexpr int rows_together = 8;  // pixels of a thread, below one another

// z [height, columns] = weights [height, lines] times lines [lines, columns], in the order of the lines.
__global__ void __launch_bounds__(look_threads)
    lines_kernel(const double* weights, const double* lines, Index height, int n_lines, int columns, double* z) {
  const Index i = blockIdx.x * Index{look_threads} + threadIdx.x;
  if (i >= height * columns) return;
  const double* w = weights + i / columns * n_lines;
  const double* line = lines + i % columns;
  double sum = 0;
  for (int k = 0; k < n_lines; ++k) sum = fma(w[k], line[static_cast<Index>(k) * columns], sum);
  z[i] = sum;
}

// Half turns of a period: cosines and sines [2 n].
struct HalfTurns {
  const double* cosines;
  const double* sines;
  Index count;
};

// waves [n][cosine, sine][half] of frequencies k < n at the pixels j < half from the left edge, seen from the middle of a row.
__global__ void __launch_bounds__(look_threads) window_waves_kernel(HalfTurns turns, int n, int half, Index width, Index step, double* waves) {
  const Index i = blockIdx.x * Index{look_threads} + threadIdx.x;
  if (i >= static_cast<Index>(n) * half) return;
  const Index k = i / half, j = i % half, away = (width - 1 - 2 * j) * step % turns.count, at = k % turns.count * away % turns.count;
  waves[2 * k * half + j] = turns.cosines[at];
  waves[(2 * k + 1) * half + j] = turns.sines[at];
}

// out [rows, width] = sign * max(0, even +- odd), even = sum over k of z[y][k][0] * cosine, odd of z[y][k][1] * sine; z [rows, n, 2]. A thread takes
// `rows_together` rows of one column of the left half, and its mirror image. Blocks [rows / rows_together][half / threads]; found [warps]:
// the largest and the smallest value, before those below 0 became 0.
__global__ void __launch_bounds__(look_threads)
    pixels_kernel(const double* z, int rows, int n, const double* waves, int half, int width, double sign, double* out, double2* found) {
  const int across = (half + look_threads - 1) / look_threads, first = static_cast<int>(blockIdx.x) / across * rows_together;
  const int j = static_cast<int>(blockIdx.x) % across * look_threads + static_cast<int>(threadIdx.x);
  double largest = -DBL_MAX, least = -DBL_MAX;  // `least`: of the negatives
  if (j < half) {
    double even[rows_together] = {}, odd[rows_together] = {};
    const double* mine[rows_together];
    GPU_UNROLL
    for (int r = 0; r < rows_together; ++r) mine[r] = z + static_cast<Index>(min(first + r, rows - 1)) * 2 * n;
    for (int k = 0; k < n; ++k) {
      const double cosine = waves[static_cast<Index>(2 * k) * half + j], sine = waves[static_cast<Index>(2 * k + 1) * half + j];
      GPU_UNROLL
      for (int r = 0; r < rows_together; ++r) {
        even[r] = fma(mine[r][2 * k], cosine, even[r]);
        odd[r] = fma(mine[r][2 * k + 1], sine, odd[r]);
      }
    }
    GPU_UNROLL
    for (int r = 0; r < rows_together; ++r) {
      if (first + r >= rows) continue;
      const double left = even[r] + odd[r], right = even[r] - odd[r];
      largest = fmax(largest, fmax(left, right));
      least = fmax(least, fmax(-left, -right));
      double* row = out + static_cast<Index>(first + r) * width;
      row[j] = sign * flushed(fmax(left, 0.0));
      row[width - 1 - j] = sign * flushed(fmax(right, 0.0));
    }
  }
  largest = warp_largest(largest);
  least = warp_largest(least);
  if (lane() == 0) found[warp_of_grid()] = make_double2(largest, -least);
}

}  // namespace erffast::cuda
