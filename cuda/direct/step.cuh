// One backward step of any kind: spread the pixels by the stride, then convolve with the dilated kernel.
//
//   out[s*i + d*a] += w[a] * in[i]        (corner of `out` = s * corner of `in` - p)
//
// Gather form: one thread makes a pixel of the output, of up to `members` channels of a group, so that each pixel it loads serves
// them all. Taps come in the order of the CPU's engine (seven kernel rows, then channels, columns upwards, rows downwards), and
// are scaled at the end: a power of two for all is exact there as well.
//
// Expected on an H100: bound by loads through the first cache, one for each `members` fused multiply-adds and one for each tap:
// some 20 % of the peak with one channel, 40 % with four (not measured). Long stacks of one channel go through fused.cuh.
#pragma once

#include "arithmetic.cuh"

namespace erffast::cuda {

template <class T>
struct StepArguments {
  const T* in;
  T* out;
  const T* taps;           // [draws or 1, channels_out or 1, channels_in, kernel rows, columns]
  const Power<T>* scales;  // [draws]
  Frame from, to;
  Index taps_per_draw;     // 0: the same for all
  int kernel[2], channels_in, per_group;  // channels of `in` that a group adds up; 0: the same kernel for each channel
  Index stride[2], dilation[2];
  Index first_tile, tiles_x, tiles_y, blocks_of_channels;
};

inline constexpr int step_columns = 32, step_rows = 8, step_threads = step_columns * step_rows;

template <class T, int parts, int members>
__global__ void __launch_bounds__(step_threads) backward_step_kernel(StepArguments<T> s) {
  Index tile = s.first_tile + blockIdx.x;
  const Index x = tile % s.tiles_x * step_columns + threadIdx.x % step_columns;
  tile /= s.tiles_x;
  const Index y = tile % s.tiles_y * step_rows + threadIdx.x / step_columns;
  tile /= s.tiles_y;
  const Index block = tile % s.blocks_of_channels, draw = tile / s.blocks_of_channels;
  if (y >= s.to.rect.height || x >= s.to.rect.width) return;

  const bool shared = s.per_group == 0;
  const Index blocks_of_group = shared ? 1 : (s.channels_in + members - 1) / members;
  const Index group = block / blocks_of_group;
  const int member = static_cast<int>(block % blocks_of_group) * members;
  const Index first_channel = shared ? block : group * s.per_group, channels = shared ? 1 : s.per_group;
  const int here = shared ? 1 : min(members, s.channels_in - member);
  const int rows = s.kernel[0], columns = s.kernel[1], size = rows * columns;
  Sum<T, parts> sums[members];
  for (int first = 0; first < rows; first += rows_at_a_time) {
    const int last = min(first + rows_at_a_time, rows) - 1;
    for (Index o = 0; o < channels; ++o) {
      const T* taps = s.taps + draw * s.taps_per_draw + (shared ? 0 : ((first_channel + o) * s.channels_in + member) * size);
      const T* image = s.in + s.from.row(draw, first_channel + o, 0);
      for (int b = 0; b < columns; ++b) {
        const Index left = x - s.dilation[1] * b;
        if (left < 0 || (s.stride[1] > 1 && left % s.stride[1] != 0)) continue;
        const Index column = s.stride[1] > 1 ? left / s.stride[1] : left;
        if (column >= s.from.rect.width) continue;
        for (int a = last; a >= first; --a) {
          const Index up = y - s.dilation[0] * a;
          if (up < 0 || (s.stride[0] > 1 && up % s.stride[0] != 0)) continue;
          const Index row = s.stride[0] > 1 ? up / s.stride[0] : up;
          if (row >= s.from.rect.height) continue;
          GPU_UNROLL
          for (int m = 0; m < members; ++m) {
            if (m < here) sums[m].add(taps[m * size + a * columns + b], image + row * s.from.pitch + column, s.from.per_part);
          }
        }
      }
    }
  }
  const Power<T> scale = s.scales[draw];
  const Index channel = shared ? block : group * s.channels_in + member;
  GPU_UNROLL
  for (int m = 0; m < members; ++m) {
    if (m < here) sums[m].store(s.out + s.to.row(draw, channel + m, y) + x, s.to.per_part, scale);
  }
}

// Pixels multiplied by an image of factors: divisors of pooling windows that overhang the map.
template <class T>
struct RescaleArguments {
  const T* in;
  T* out;
  Frame frame, to;          // of the same rectangle
  const double* scale;      // [map's rows, columns]
  const double* scale_low;  // [same], or null
  Index scale_width;
  Index n;  // pixels, of all draws and channels
};

inline constexpr int rescale_threads = 256;

template <class T, int parts>
__global__ void __launch_bounds__(rescale_threads) rescale_kernel(RescaleArguments<T> r) {
  Index i = static_cast<Index>(blockIdx.x) * rescale_threads + threadIdx.x;
  if (i >= r.n) return;
  const Rect& rect = r.frame.rect;
  const Index x = i % rect.width;
  i /= rect.width;
  const Index y = i % rect.height;
  i /= rect.height;
  const Index at = (rect.y0 + y) * r.scale_width + rect.x0 + x;
  const T* from = r.in + r.frame.row(i / r.frame.channels, i % r.frame.channels, y) + x;
  T* to = r.out + r.to.row(i / r.frame.channels, i % r.frame.channels, y) + x;
  const double factor = r.scale[at];
  if constexpr (parts == 1) {
    *to = static_cast<T>(*from * factor);
  } else {
    const double low = r.scale_low == nullptr ? 0.0 : r.scale_low[at], hi = from[0], lo = from[r.frame.per_part];
    const double p = hi * factor, rest = fma(hi, factor, -p) + fma(hi, low, lo * factor);
    const double sum = p + rest;
    to[0] = sum;
    to[r.to.per_part] = rest - (sum - p);
  }
}

}  // namespace erffast::cuda
