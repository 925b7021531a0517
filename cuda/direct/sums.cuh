// What the host asks of images: sums by row and by column, in the order of the CPU's engine; peaks; copies at another scale.
//
// All of them are bound by reading the image once: 5 us for 2001 x 2001 floats from the second cache, on an H100 (not measured).
#pragma once

#include "arithmetic.cuh"

namespace erffast::cuda {

inline constexpr int sum_threads = 256;

// What a row gives. Eight threads take every eighth pixel each and add up in pairs, as the CPU's `sum` and `sum_of_squares`.
struct RowSums {
  Frame frame;
  Index y0, y1, x0, x1;  // inside; a row outside [y0, y1) lies outside as a whole
  double scale;          // 0: sums of the pixels; else of the squares of scale * pixel
  double* sums;          // [draws, channels, rows, 3]: before x0, inside, from x1 on
  Index n_rows;          // of all draws and channels
};

inline constexpr int lanes_of_row = 8;

template <class T>
__device__ double eighth_of_row(const T* row, Index n, int lane, T scale) {
  const auto term = [&](T pixel, double sum) {
    if (scale == 0) return sum + static_cast<double>(pixel);
    const double v = static_cast<double>(scale * pixel);
    return fma(v, v, sum);
  };
  double sum = 0;
  const Index whole = n / lanes_of_row * lanes_of_row;
  for (Index x = lane; x < whole; x += lanes_of_row) sum = term(row[x], sum);
  for (Index x = whole; x < n && lane == 0; ++x) sum = term(row[x], sum);
  for (int d = 1; d < lanes_of_row; d *= 2) sum += __shfl_xor_sync(all_lanes, sum, d);
  return sum;
}

template <class T>
__global__ void __launch_bounds__(sum_threads) row_sums_kernel(const T* image, RowSums r) {
  const Index row = static_cast<Index>(blockIdx.x) * (sum_threads / lanes_of_row) + threadIdx.x / lanes_of_row;
  const int lane = threadIdx.x % lanes_of_row;
  const bool real = row < r.n_rows;  // all threads of a warp take part in its sums
  const Rect& rect = r.frame.rect;
  const Index y = row % rect.height, channel = row / rect.height % r.frame.channels, draw = row / rect.height / r.frame.channels;
  const T* pixels = real ? image + r.frame.row(draw, channel, y) : image;
  const bool outside = y < r.y0 || y >= r.y1 || r.x1 <= r.x0;
  const Index ends[3] = {outside ? rect.width : r.x0, outside ? rect.width : r.x1, rect.width};
  Index begin = 0;
  for (int i = 0; i < 3; ++i) {
    const double sum = eighth_of_row(pixels + begin, real ? ends[i] - begin : 0, lane, static_cast<T>(r.scale));
    if (real && lane == 0) r.sums[3 * row + i] = sum;
    begin = ends[i];
  }
}

// Each column's sum of |pixel| / peak, one row after the other; of draw and channel 0.
template <class T>
__global__ void __launch_bounds__(sum_threads) column_sums_kernel(const T* image, Frame frame, double peak, double* sums) {
  const Index x = static_cast<Index>(blockIdx.x) * sum_threads + threadIdx.x;
  if (x >= frame.rect.width) return;
  double sum = 0;
  for (Index y = 0; y < frame.rect.height; ++y) sum += fabs(static_cast<double>(image[frame.row(0, 0, y) + x])) / peak;
  sums[x] = sum;
}

// Each row's sum of |pixel| / peak, one pixel after the other: 32 rows a block, through shared memory, so that the threads of a
// warp read neighbours.
inline constexpr int strip = 32;

template <class T>
__global__ void __launch_bounds__(sum_threads) ordered_row_sums_kernel(const T* image, Frame frame, double peak, double* sums) {
  GPU_SHARED(double, pixels, [strip][strip + 1]);
  const int lane = threadIdx.x % strip, warp = threadIdx.x / strip;
  const Index y0 = static_cast<Index>(blockIdx.x) * strip;
  double sum = 0;
  for (Index x0 = 0; x0 < frame.rect.width; x0 += strip) {
    for (int j = warp; j < strip; j += sum_threads / strip) {
      const bool real = y0 + j < frame.rect.height && x0 + lane < frame.rect.width;
      pixels[j][lane] = real ? fabs(static_cast<double>(image[frame.row(0, 0, y0 + j) + x0 + lane])) / peak : 0.0;
    }
    __syncthreads();
    for (int i = 0; i < strip && warp == 0; ++i) sum += pixels[lane][i];
    __syncthreads();
  }
  if (warp == 0 && y0 + lane < frame.rect.height) sums[y0 + lane] = sum;
}

// Peak and rectangle of what is not zero, of every draw. Flushes.
template <class T>
struct MeasureArguments {
  T* image;
  Frame frame;
  int parts;
  Measure* measures;  // [draws], zeroed
  Index n_rows, blocks_of_row;
};

template <class T>
__global__ void __launch_bounds__(sum_threads) measure_kernel(MeasureArguments<T> m) {
  Index row = static_cast<Index>(blockIdx.x) / m.blocks_of_row;
  const Index x = static_cast<Index>(blockIdx.x) % m.blocks_of_row * sum_threads + threadIdx.x, y = row % m.frame.rect.height;
  row /= m.frame.rect.height;
  const Index draw = row / m.frame.channels;
  Seen seen;
  if (x < m.frame.rect.width) {
    T* pixel = m.image + m.frame.row(draw, row % m.frame.channels, y) + x;
    const T value = flushed(*pixel);
    *pixel = value;
    if (m.parts == 2) pixel[m.frame.per_part] = flushed(pixel[m.frame.per_part]);
    seen.look(value, y, x, m.frame.rect);
  }
  seen.add_to(m.measures + draw);
}

// The smallest positive |pixel| / peak of draw 0, as the complement of its bits: the largest complement wins.
template <class T>
__global__ void __launch_bounds__(sum_threads) least_kernel(const T* image, Frame frame, double peak, unsigned long long* least) {
  const Index blocks_of_row = (frame.rect.width + sum_threads - 1) / sum_threads;
  const Index y = static_cast<Index>(blockIdx.x) / blocks_of_row;
  const Index x = static_cast<Index>(blockIdx.x) % blocks_of_row * sum_threads + threadIdx.x;
  unsigned long long best = 0;
  if (x < frame.rect.width) {
    const double v = fabs(static_cast<double>(image[frame.row(0, 0, y) + x])) / peak;
    if (v > 0) best = ~magnitude_bits(v);
  }
  best = warp_largest(best);
  if (threadIdx.x % warp_lanes == 0 && best > 0) atomicMax(least, best);
}

// out[i, j] = factor * pixel at (y0 + i, x0 + j) in the coordinates of the map; zero outside the image and below the range. Its
// largest absolute value goes to `top`, as the bits of a double.
template <class T>
struct WriteArguments {
  const T* image;
  Frame frame;
  T factor;
  T* out;  // [rows, width]
  Index y0, x0, width;
  Index blocks_of_row;
  unsigned long long* top;
};

template <class T>
__global__ void __launch_bounds__(sum_threads) write_kernel(WriteArguments<T> w) {
  const Index i = static_cast<Index>(blockIdx.x) / w.blocks_of_row;
  const Index j = static_cast<Index>(blockIdx.x) % w.blocks_of_row * sum_threads + threadIdx.x;
  const Rect& rect = w.frame.rect;
  T value = 0;
  if (j < w.width) {
    const Index y = w.y0 + i - rect.y0, x = w.x0 + j - rect.x0;
    const bool real = y >= 0 && y < rect.height && x >= 0 && x < rect.width;
    value = real ? flushed(w.factor * w.image[w.frame.row(0, 0, y) + x]) : T(0);
    w.out[i * w.width + j] = value;
  }
  const unsigned long long top = warp_largest(magnitude_bits(value));
  if (threadIdx.x % warp_lanes == 0 && top > 0) atomicMax(w.top, top);
}

}  // namespace erffast::cuda
