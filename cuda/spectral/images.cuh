// What is asked of images on the device: peaks, sums, seams, sums with waves, crops.
//
// Expected on an H100, not measured: each reads its pixels once, an image of 2016 x 2016 in 11 us; the sums with waves of 256 frequencies
// on 640 x 640 pixels are 2.1e8 multiply-adds, 15 us.
#pragma once

#include "spectral/warps.cuh"

namespace erffast::cuda {

// A warp for each row of pixels [rows, width]: multiplies it, and finds its largest absolute value and its sum of squares.
__global__ void __launch_bounds__(look_threads) scale_kernel(double* pixels, Index rows, int width, double factor, double2* out) {
  const Index row = warp_of_grid();
  if (row >= rows) return;
  double* p = pixels + row * width;
  double largest = 0, sum = 0;
  for (int x = lane(); x < width; x += warp_lanes) {
    const double value = p[x] * factor;
    p[x] = value;
    largest = fmax(largest, fabs(value));
    sum = fma(value, value, sum);
  }
  largest = warp_largest(largest);
  sum = warp_sum(sum);
  if (lane() == 0) out[row] = make_double2(largest, sum);
}

__global__ void __launch_bounds__(look_threads) clip_kernel(double* pixels, Index n) {
  for (Index i = blockIdx.x * Index{look_threads} + threadIdx.x; i < n; i += Index{gridDim.x} * look_threads) pixels[i] = fmax(pixels[i], 0.0);
}

enum class Each { value, size, square };

template <Each each>
__device__ inline double look_at(double x) {
  return each == Each::square ? x * x : each == Each::size ? fabs(x) : x;
}

// A warp for each row of pixels [rows, width]: the sum of all.
template <Each each>
__global__ void __launch_bounds__(look_threads) row_sums_kernel(const double* pixels, Index rows, int width, double* out) {
  const Index row = warp_of_grid();
  if (row >= rows) return;
  double sum = 0;
  for (int x = lane(); x < width; x += warp_lanes) sum += look_at<each>(pixels[row * width + x]);
  sum = warp_sum(sum);
  if (lane() == 0) out[row] = sum;
}

constexpr int strip_rows = 64;

// A thread for each column and strip of rows: out [strips, width]. Blocks [strips][width in blocks of threads].
template <Each each>
__global__ void __launch_bounds__(look_threads) column_sums_kernel(const double* pixels, int rows, int width, double* out) {
  const int across = (width + look_threads - 1) / look_threads, strip = static_cast<int>(blockIdx.x) / across;
  const int x = static_cast<int>(blockIdx.x) % across * look_threads + static_cast<int>(threadIdx.x);
  if (x >= width) return;
  double sum = 0;
  for (int y = strip * strip_rows; y < min((strip + 1) * strip_rows, rows); ++y) sum += look_at<each>(pixels[static_cast<Index>(y) * width + x]);
  out[static_cast<Index>(strip) * width + x] = sum;
}

// A warp for each of `rows` rows, cyclically from (row, column) on: the largest absolute value of `columns` pixels. out [rows]
__global__ void __launch_bounds__(look_threads)
    largest_kernel(const double* pixels, int height, int width, int row, int column, int rows, int columns, double* out) {
  const Index i = warp_of_grid();
  if (i >= rows) return;
  const double* p = pixels + (row + i) % height * width;
  double largest = 0;
  for (int k = lane(); k < columns; k += warp_lanes) largest = fmax(largest, fabs(p[(column + k) % width]));
  largest = warp_largest(largest);
  if (lane() == 0) out[i] = largest;
}

// exp(-2 pi i f x / (n finer)) for n_waves frequencies f and x = first .. first + n - 1, at x modulo n: out [n_waves, n]
struct CyclicAxis {
  Index n, finer, first;
};
__global__ void __launch_bounds__(look_threads) axis_waves_kernel(const Index* frequencies, Index n_waves, CyclicAxis axis, double2* out) {
  const Index i = blockIdx.x * Index{look_threads} + threadIdx.x;
  if (i >= n_waves * axis.n) return;
  const Index whole = axis.n * axis.finer, f = frequencies[i / axis.n] % whole;
  Index steps = (i % axis.n - axis.first) % axis.n;  // from `first` on
  if (steps < 0) steps += axis.n;
  Index turns = (f * ((axis.first + steps) % whole)) % whole;
  turns = turns < 0 ? turns + whole : turns;
  if (2 * turns > whole) turns -= whole;  // of at most half a turn the rounding is least
  const double angle = 6.283185307179586 * (static_cast<double>(turns) / static_cast<double>(whole));
  out[i] = make_double2(cos(angle), -sin(angle));
}

constexpr int waves_together = 8;

// out [n_waves, width] = sum over the rows of waves [n_waves, height] times pixels. Blocks [waves / waves_together][columns / threads].
__global__ void __launch_bounds__(look_threads)
    down_kernel(const double* pixels, int height, int width, const double2* waves, int n_waves, double2* out) {
  const int across = (width + look_threads - 1) / look_threads, first = static_cast<int>(blockIdx.x) / across * waves_together;
  const int x = static_cast<int>(blockIdx.x) % across * look_threads + static_cast<int>(threadIdx.x);
  if (x >= width) return;
  double re[waves_together] = {}, im[waves_together] = {};
  const double2* mine[waves_together];
  GPU_UNROLL
  for (int k = 0; k < waves_together; ++k) mine[k] = waves + static_cast<Index>(min(first + k, n_waves - 1)) * height;
  for (int y = 0; y < height; ++y) {
    const double pixel = pixels[static_cast<Index>(y) * width + x];
    GPU_UNROLL
    for (int k = 0; k < waves_together; ++k) {
      const double2 wave = mine[k][y];
      re[k] = fma(pixel, wave.x, re[k]);
      im[k] = fma(pixel, wave.y, im[k]);
    }
  }
  GPU_UNROLL
  for (int k = 0; k < waves_together; ++k) {
    if (first + k < n_waves) out[static_cast<Index>(first + k) * width + x] = make_double2(re[k], im[k]);
  }
}

// A warp for each of n_waves: sum of parts [n_waves, width] times waves [n_waves, width]. out [n_waves]
__global__ void __launch_bounds__(look_threads) across_kernel(const double2* parts, const double2* waves, Index n_waves, int width, double2* out) {
  const Index i = warp_of_grid();
  if (i >= n_waves) return;
  double re = 0, im = 0;
  for (int x = lane(); x < width; x += warp_lanes) {
    const double2 a = parts[i * width + x], b = waves[i * width + x];
    re = fma(a.x, b.x, fma(-a.y, b.y, re));
    im = fma(a.x, b.y, fma(a.y, b.x, im));
  }
  re = warp_sum(re);
  im = warp_sum(im);
  if (lane() == 0) out[i] = make_double2(re, im);
}

// out [rows, columns], its rows `pitch` apart, = factor * pixel, cyclically from (row, column) on.
template <class T>
__global__ void __launch_bounds__(look_threads)
    crop_kernel(const double* pixels, int height, int width, int row, int column, Index rows, int columns, double factor, T* out, Index pitch) {
  for (Index i = blockIdx.x * Index{look_threads} + threadIdx.x; i < rows * columns; i += Index{gridDim.x} * look_threads) {
    const Index y = (row + i / columns) % height, x = (column + i % columns) % width;
    out[i / columns * pitch + i % columns] = flushed(static_cast<T>(factor * pixels[y * width + x]));
  }
}

}  // namespace erffast::cuda
