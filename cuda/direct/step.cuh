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

// How taps along an axis meet a pixel: every `step`-th of them, each reading `back` pixels before the one before it.
struct Axis {
  int stride, dilation, taps;
  int step, back;  // stride and dilation without their common divisors
};

template <class T>
struct StepArguments {
  const T* in;
  T* out;
  const T* taps;           // [draws or 1, channels_out or 1, channels_in, kernel rows, columns]
  const Power<T>* scales;  // [draws]
  Frame from, to;
  Index taps_per_draw;     // 0: the same for all
  int channels_in, per_group;  // channels of `in` that a group adds up; 0: the same kernel for each channel
  Axis axes[2];
  unsigned first_tile, tiles_x, tiles_y, blocks_of_channels;
};

// The first tap that meets a pixel, and what it reads; no tap: as many as there are.
struct Meeting {
  int first, from;
};

__device__ inline Meeting meeting(int at, const Axis& axis) {
  if (axis.stride == 1) return {0, at};
  int rest = at % axis.stride;
  const int shift = axis.dilation % axis.stride;
  for (int a = 0; a < axis.step; ++a) {
    if (rest == 0) return {a, static_cast<int>(at - static_cast<Index>(axis.dilation) * a) / axis.stride};
    rest = rest < shift ? rest - shift + axis.stride : rest - shift;
  }
  return {axis.taps, 0};
}

inline constexpr int step_columns = 32, step_rows = 8, step_threads = step_columns * step_rows;

template <class T, int parts, int members>
__global__ void __launch_bounds__(step_threads, 2) backward_step_kernel(StepArguments<T> s) {
  unsigned tile = s.first_tile + blockIdx.x;
  const int x = static_cast<int>(tile % s.tiles_x * step_columns + threadIdx.x % step_columns);
  tile /= s.tiles_x;
  const int y = static_cast<int>(tile % s.tiles_y * step_rows + threadIdx.x / step_columns);
  tile /= s.tiles_y;
  const int block = static_cast<int>(tile % s.blocks_of_channels), draw = static_cast<int>(tile / s.blocks_of_channels);
  if (y >= s.to.rect.height || x >= s.to.rect.width) return;

  const bool shared = s.per_group == 0;
  const int blocks_of_group = shared ? 1 : (s.channels_in + members - 1) / members;
  const int group = block / blocks_of_group, member = block % blocks_of_group * members;
  const int first_channel = shared ? block : group * s.per_group, channels = shared ? 1 : s.per_group;
  const int here = shared ? 1 : min(members, s.channels_in - member);
  const Axis &down = s.axes[0], &across = s.axes[1];
  const int rows = down.taps, columns = across.taps, size = rows * columns;
  const Meeting up = meeting(y, down), left = meeting(x, across);
  Sum<T, parts> sums[members];
  for (int first = 0; first < rows; first += rows_at_a_time) {
    const int most = min(first + rows_at_a_time, rows) - 1;
    if (most < up.first) continue;
    const int skipped = down.step == 1 ? most - up.first : (most - up.first) / down.step;
    const int last = up.first + skipped * down.step;  // the last tap of these rows that meets the pixel
    for (int o = 0; o < channels; ++o) {
      const T* taps = s.taps + draw * s.taps_per_draw + (shared ? 0 : static_cast<Index>((first_channel + o) * s.channels_in + member) * size);
      const T* image = s.in + s.from.row(draw, first_channel + o, 0);
      int column = left.from;
      for (int b = left.first; b < columns && column >= 0; b += across.step, column -= across.back) {
        if (column >= s.from.rect.width) continue;
        int row = up.from - down.back * skipped;
        for (int a = last; a >= first && row < s.from.rect.height; a -= down.step, row += down.back) {
          if (row < 0) continue;
          GPU_UNROLL
          for (int m = 0; m < members; ++m) {
            if (m < here) sums[m].add(taps[m * size + a * columns + b], image + row * s.from.pitch + column, s.from.per_part);
          }
        }
      }
    }
  }
  const Power<T> scale = s.scales[draw];
  const int channel = shared ? block : group * s.channels_in + member;
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
