// What is asked of spectra and images on the device: sums, largest values, blocks, values at places, sums with waves, crops.
//
// A warp works alone, its sums by shuffles in a fixed order; what several warps find is put together by the host or by a second launch.
// So there are no barriers, and the answers do not depend on which warp comes first.
//
// Expected on an H100, not measured: each of these reads its numbers once. An image of 2016 x 2016 takes 32 MB, 11 us a pass; the sums with
// waves of 256 frequencies on 640 x 640 pixels are 2.1e8 multiply-adds, 15 us.
#pragma once

#include "spectral/scaled.cuh"

#include "erffast/step.hpp"

namespace erffast::cuda {

constexpr int look_threads = 128;
constexpr int look_warps = look_threads / warp;

__device__ inline Index warp_of_grid() { return blockIdx.x * Index{look_warps} + threadIdx.x / warp; }
__device__ inline int lane() { return static_cast<int>(threadIdx.x % warp); }

// ------------------------------------------------------------------------------------------------ spectra

// A warp for each row of values [rows, columns]: sum of |z|^2 and, counting all but the ends twice, its energy. out [rows] (sum, energy).
__global__ void __launch_bounds__(look_threads) row_energy_kernel(const double2* values, Index rows, int columns, double2* out) {
  const Index row = warp_of_grid();
  if (row >= rows) return;
  const double2* z = values + row * columns;
  double sum = 0;
  for (int v = lane(); v < columns; v += warp) sum += z[v].x * z[v].x + z[v].y * z[v].y;
  sum = warp_sum(sum);
  if (lane() != 0) return;
  const double first = z[0].x * z[0].x + z[0].y * z[0].y, end = z[columns - 1].x * z[columns - 1].x + z[columns - 1].y * z[columns - 1].y;
  out[row] = make_double2(sum, 2 * sum - first - (columns > 1 ? end : 0));
}

// A warp for each (row, wanted): the first column of values [.., columns] where the energy of the row up to it exceeds `wanted`, or the
// last.
struct InRow {
  Index row;
  double wanted;
};
__global__ void __launch_bounds__(look_threads) column_kernel(const double2* values, int columns, const InRow* looks, Index n, int* out) {
  const Index look = warp_of_grid();
  if (look >= n) return;
  const double2* z = values + looks[look].row * columns;
  const double wanted = looks[look].wanted;
  double before = 0;
  int found = columns - 1;
  for (int first = 0; first < columns; first += warp) {
    const int v = first + lane();
    double sum = 0;
    if (v < columns) sum = (v == 0 || v == columns - 1 ? 1.0 : 2.0) * (z[v].x * z[v].x + z[v].y * z[v].y);
    for (int step = 1; step < warp; step *= 2) {
      const double left = __shfl_up_sync(all_lanes, sum, static_cast<unsigned>(step));
      if (lane() >= step) sum += left;
    }
    const unsigned beyond = __ballot_sync(all_lanes, v < columns && before + sum > wanted);
    if (beyond != 0) {
      found = first + __ffs(static_cast<int>(beyond)) - 1;
      break;
    }
    before += __shfl_sync(all_lanes, sum, warp - 1);
  }
  if (lane() == 0) out[look] = found;
}

// out[i] = values[at[i]]
__global__ void __launch_bounds__(look_threads) gather_kernel(const double2* values, const Index* at, Index n, double2* out) {
  const Index i = blockIdx.x * Index{look_threads} + threadIdx.x;
  if (i < n) out[i] = values[at[i]];
}

// A warp for each of down * across blocks of a spectrum [rows, columns], each ceil(rows / down) x ceil(columns / across): the largest
// modulus, the first place (row * columns + column) where it stands, and the sum of all.
struct BlockFound {
  double largest, sum;
  Index place;
};
__global__ void __launch_bounds__(look_threads)
    blocks_kernel(const double2* values, int rows, int columns, int down, int across, BlockFound* out) {
  const Index block = warp_of_grid();
  if (block >= Index{down} * across) return;
  const int height = (rows + down - 1) / down, width = (columns + across - 1) / across;
  const int top = static_cast<int>(block / across) * height, left = static_cast<int>(block % across) * width;
  BlockFound mine{-1, 0, Index{top} * columns + left};
  for (int i = lane(); i < height * width; i += warp) {
    const int row = top + i / width, column = left + i % width;
    if (row >= rows || column >= columns) continue;
    const Index place = static_cast<Index>(row) * columns + column;
    const double2 z = values[place];
    const double size = sqrt(z.x * z.x + z.y * z.y);
    mine.sum += size;
    if (size > mine.largest) {
      mine.largest = size;
      mine.place = place;
    }
  }
  mine.sum = warp_sum(mine.sum);
  for (int step = warp / 2; step > 0; step /= 2) {
    const double largest = __shfl_xor_sync(all_lanes, mine.largest, step);
    const Index place = __shfl_xor_sync(all_lanes, mine.place, step);
    if (largest > mine.largest || (largest == mine.largest && place < mine.place)) {
      mine.largest = largest;
      mine.place = place;
    }
  }
  if (lane() != 0) return;
  if (mine.largest < 0) mine = {0, 0, 0};  // beyond the last row or column
  out[block] = mine;
}

// ------------------------------------------------------------------------------------------------ images

// A warp for each row of pixels [rows, width]: multiplies it, and finds its largest absolute value and its sum of squares.
__global__ void __launch_bounds__(look_threads) scale_kernel(double* pixels, Index rows, int width, double factor, double2* out) {
  const Index row = warp_of_grid();
  if (row >= rows) return;
  double* p = pixels + row * width;
  double largest = 0, sum = 0;
  for (int x = lane(); x < width; x += warp) {
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
  for (int x = lane(); x < width; x += warp) sum += look_at<each>(pixels[row * width + x]);
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
  for (int k = lane(); k < columns; k += warp) largest = fmax(largest, fabs(p[(column + k) % width]));
  largest = warp_largest(largest);
  if (lane() == 0) out[i] = largest;
}

// exp(-2 pi i f x / (n finer)) for n_waves frequencies f and x = first .. first + n - 1, at x modulo n: out [n_waves, n]
struct Axis {
  Index n, finer, first;
};
__global__ void __launch_bounds__(look_threads) axis_waves_kernel(const Index* frequencies, Index n_waves, Axis axis, double2* out) {
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
  for (int x = lane(); x < width; x += warp) {
    const double2 a = parts[i * width + x], b = waves[i * width + x];
    re = fma(a.x, b.x, fma(-a.y, b.y, re));
    im = fma(a.x, b.y, fma(a.y, b.x, im));
  }
  re = warp_sum(re);
  im = warp_sum(im);
  if (lane() == 0) out[i] = make_double2(re, im);
}

// out [rows, columns] = factor * pixel, cyclically from (row, column) on.
template <class T>
__global__ void __launch_bounds__(look_threads)
    crop_kernel(const double* pixels, int height, int width, int row, int column, Index rows, int columns, double factor, T* out) {
  for (Index i = blockIdx.x * Index{look_threads} + threadIdx.x; i < rows * columns; i += Index{gridDim.x} * look_threads) {
    const Index y = (row + i / columns) % height, x = (column + i % columns) % width;
    out[i] = flushed(static_cast<T>(factor * pixels[y * width + x]));
  }
}

}  // namespace erffast::cuda
