// Rows of layers at one vertical frequency, and groups of them multiplied: the coefficients of `spectral_kernels.hpp`, in the CPU's order.
#pragma once

#include "spectral/scaled.cuh"

#include "erffast/step.hpp"

namespace erffast::cuda {

// A layer folded about its middle row: `even` and then `odd`, [half_y + 1][2 half_x + 1] each, from `taps` on among those of a draw.
struct FoldedLayer {
  Index taps;
  int half_y, half_x;
};

struct GroupOfLayers {
  int first, layers, half;
  int offset;         // of its coefficients, in its chunk
  bool renormalise;   // after it
};

// What a thread needs to compose: the folded layers of one draw, and cos, sin of y u for one u.
struct Composer {
  const double* taps;
  const FoldedLayer* layers;
  const double* cosines;  // [half_y + 1], `pitch` apart
  const double* sines;
  Index pitch;
};

struct Tap {
  double re, im;
};

constexpr int largest_combined = 4;  // half of a group of several layers (groups.cpp)

// The row of one layer at column b: the sum over its kernel rows.
__device__ inline Tap row_tap(const Composer& c, const FoldedLayer& layer, int b) {
  const int width = 2 * layer.half_x + 1;
  const double* even = c.taps + layer.taps;
  const double* odd = even + static_cast<Index>(layer.half_y + 1) * width;
  Tap t = {even[b], 0};
  GPU_ROLLED
  for (int y = 1; y <= layer.half_y; ++y) {
    t.re = fma(even[static_cast<Index>(y) * width + b], c.cosines[y * c.pitch], t.re);
    t.im = fma(odd[static_cast<Index>(y) * width + b], c.sines[y * c.pitch], t.im);
  }
  return t;
}

// Tap i of the row that n taps c and `width` taps t make. The order is the CPU's: t from its first tap that has a partner on.
__device__ inline Tap convolved(const Tap* c, int n, const Tap* t, int width, int i) {
  Tap sum = {0, 0};
  GPU_ROLLED
  for (int b = i < n ? 0 : i - n + 1; b < width && b <= i; ++b) {
    const Tap u = c[i - b];
    sum.re = fma(u.re, t[b].re, sum.re);
    sum.re = fma(-u.im, t[b].im, sum.re);
    sum.im = fma(u.re, t[b].im, sum.im);
    sum.im = fma(u.im, t[b].re, sum.im);
  }
  return sum;
}

__device__ inline void write_pair(double* out, int j, Tap right, Tap left) {
  double* const o = out + 4 * j - 2;
  o[0] = right.re + left.re;
  o[1] = right.im + left.im;
  o[2] = right.im - left.im;
  o[3] = right.re - left.re;
}

// Pairs [first, half] of a single layer, `step` apart; the middle one is pair 0.
__device__ inline void compose_one(const Composer& c, const FoldedLayer& layer, int first, int step, double* out) {
  GPU_ROLLED
  for (int j = first; j <= layer.half_x; j += step) {
    const Tap right = row_tap(c, layer, layer.half_x + j);
    if (j == 0) {
      out[0] = right.re;
      out[1] = right.im;
    } else {
      write_pair(out, j, right, row_tap(c, layer, layer.half_x - j));
    }
  }
}

// The same of three taps more: c[0 .. n) becomes c[0 .. n + 2), from the last on, in place and in registers.
template <int n>
__device__ inline void convolve_three(Tap* c, const Tap (&t)[3]) {
  GPU_UNROLL
  for (int i = n + 1; i >= 0; --i) {
    Tap sum = {0, 0};
    GPU_UNROLL
    for (int b = 0; b < 3; ++b) {
      if (b > i || i - b >= n) continue;
      const Tap u = c[i - b];
      sum.re = fma(u.re, t[b].re, sum.re);
      sum.re = fma(-u.im, t[b].im, sum.re);
      sum.im = fma(u.re, t[b].im, sum.im);
      sum.im = fma(u.im, t[b].re, sum.im);
    }
    c[i] = sum;
  }
}

template <int n>
__device__ inline void multiply_three(const Composer& c, const FoldedLayer& layer, Tap* row) {
  const Tap t[3] = {row_tap(c, layer, 0), row_tap(c, layer, 1), row_tap(c, layer, 2)};
  convolve_three<n>(row, t);
}

// Four layers of three columns each.
__device__ inline void compose_threes(const Composer& c, const FoldedLayer* layers, double* out) {
  constexpr int N = largest_combined;
  Tap row[2 * N + 1];
  GPU_UNROLL
  for (int b = 0; b < 3; ++b) row[b] = row_tap(c, layers[0], b);
  multiply_three<3>(c, layers[1], row);
  multiply_three<5>(c, layers[2], row);
  multiply_three<7>(c, layers[3], row);
  out[0] = row[N].re;
  out[1] = row[N].im;
  GPU_UNROLL
  for (int j = 1; j <= N; ++j) write_pair(out, j, row[N + j], row[N - j]);
}

__device__ inline void compose_mixed(const Composer& c, const FoldedLayer* layers, int n_layers, int half, double* out) {
  Tap row[2 * largest_combined + 1], t[2 * largest_combined + 1];
  int n = 1;
  GPU_ROLLED
  for (int p = 0; p < n_layers; ++p) {
    const int width = 2 * layers[p].half_x + 1;
    Tap* const target = p == 0 ? row : t;
    GPU_ROLLED
    for (int b = 0; b < width; ++b) target[b] = row_tap(c, layers[p], b);
    GPU_ROLLED
    for (int i = p > 0 ? n + width - 2 : -1; i >= 0; --i) row[i] = convolved(row, n, t, width, i);
    n += width - 1;
  }
  out[0] = row[half].re;
  out[1] = row[half].im;
  GPU_ROLLED
  for (int j = 1; j <= half; ++j) write_pair(out, j, row[half + j], row[half - j]);
}

__device__ inline void compose(const Composer& c, const GroupOfLayers& group, double* out) {
  const FoldedLayer* layers = c.layers + group.first;
  if (group.layers == 1) return compose_one(c, layers[0], 0, 1, out);
  if (group.layers == 4 && group.half == 4) {
    bool threes = true;
    for (int p = 0; p < 4; ++p) threes = threes && layers[p].half_x == 1;
    if (threes) return compose_threes(c, layers, out);
  }
  compose_mixed(c, layers, group.layers, group.half, out);
}

}  // namespace erffast::cuda
