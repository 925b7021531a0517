// The product of transfer functions in a band: few frequencies and very many layers (cpp/src/spectral/band_product.cpp, whose order and
// pieces these are, so that the bits are too).
//
// A block takes one vertical frequency u, with -u, and a piece of the layers: its threads compose the rows of many layers into shared
// memory, eight threads a layer, and then take a column v of frequencies each.
//
// Expected on an H100, not measured: 47 x 24 frequencies and 5000 layers of 7 x 7 taps are 504 blocks of 64 threads; each composes 238 layers,
// 800 multiply-adds a thread, and multiplies them, 238 * 28; latency decides, some 60 us.
#pragma once

#include "spectral/scaled.cuh"

#include "erffast/step.hpp"

namespace erffast::cuda {

constexpr int band_threads = 64;
constexpr int band_blocks = 8;      // of a multiprocessor at a time: 128 registers a thread
constexpr int composing = 8;        // threads that compose a layer together
constexpr int band_doubles = 2304;  // coefficients in shared memory
constexpr int band_half = 3;        // cosines and sines of so many j stay in registers

// Where a layer's numbers stand, in doubles.
struct BandLayer {
  Index taps;         // [1 or draws][height, width]
  Index draw_stride;
  Index down;         // cosines of -a u [height][rows], then sines
  Index along;        // cosines of j v [half][columns], then sines; j from 1
  int height, width;
};

struct BandInput {
  const BandLayer* layers;
  int count;             // of layers
  const double* taps;
  const double* waves;   // of `down` and `along`
  int rows, columns;     // u = 0 .. rows - 1, v = 0 .. columns - 1
  int pieces;
  int together;          // layers whose coefficients shared memory holds
  int size;              // coefficients of the largest layer
  double* scratch;       // null, or [blocks of a launch][size]: a layer that shared memory does not hold
};

// Products [draws, pieces, rows, u and -u, columns], 1 at first.
struct BandState {
  double2* values;
  std::int32_t* exponents;
};

struct RowSum {
  double re, im;
};

// A column of a kernel: the sum over its rows.
__device__ inline RowSum add_rows(const BandInput& in, const BandLayer& layer, const double* taps, int u, int column) {
  RowSum sum{0, 0};
  const double* cosines = in.waves + layer.down + u;
  const double* sines = cosines + static_cast<Index>(layer.height) * in.rows;
  for (int a = 0; a < layer.height; ++a) {
    const double w = taps[static_cast<Index>(a) * layer.width + column];
    sum.re = fma(w, cosines[static_cast<Index>(a) * in.rows], sum.re);
    sum.im = fma(w, sines[static_cast<Index>(a) * in.rows], sum.im);
  }
  return sum;
}

// Pairs first, first + step, .. of a layer's row; the middle one is pair 0. Even sides reach further right.
__device__ inline void compose_band(const BandInput& in, const BandLayer& layer, Index draw, int u, int first, int step, double* out) {
  const int middle = (layer.width - 1) / 2;
  const double* taps = in.taps + layer.taps + draw * layer.draw_stride;
  for (int j = first; j <= layer.width / 2; j += step) {
    const RowSum right = add_rows(in, layer, taps, u, middle + j);
    if (j == 0) {
      out[0] = right.re;
      out[1] = right.im;
      continue;
    }
    const RowSum left = j <= middle ? add_rows(in, layer, taps, u, middle - j) : RowSum{0, 0};
    double* const o = out + 4 * j - 2;
    o[0] = right.re + left.re;
    o[1] = right.im + left.im;
    o[2] = right.im - left.im;
    o[3] = right.re - left.re;
  }
}

// One layer at (u, v) and (-u, v).
__device__ inline void multiply_band(double x, double y, double z, double w, Scaled& above, Scaled& below) {
  const double up = x + y, down = x - y, imaginary = z - w, minus = z + w;
  const double r = above.im * imaginary, i = above.im * up;
  const double re = fma(above.re, up, -r);
  above.im = fma(above.re, imaginary, i);
  above.re = re;
  const double s = below.im * minus, t = below.re * minus;
  below.re = fma(below.re, down, s);
  below.im = fma(below.im, down, -t);
}

// Blocks [draws][pieces][rows][columns in blocks of threads]; of each piece's layers the share [part / parts, (part + 1) / parts).
template <bool Wide>
__global__ void __launch_bounds__(band_threads, band_blocks) band_product_kernel(BandInput in, BandState state, Index first_block, int part, int parts) {
  GPU_SHARED(double, shared, [band_doubles]);
  double* coefficients = shared;
  if constexpr (Wide) coefficients = in.scratch + static_cast<Index>(blockIdx.x) * in.size;
  const int across = (in.columns + band_threads - 1) / band_threads, thread = static_cast<int>(threadIdx.x);
  const Index block = first_block + blockIdx.x, row = block / across;
  const int u = static_cast<int>(row % in.rows), piece = static_cast<int>(row / in.rows % in.pieces);
  const int v = static_cast<int>(block % across) * band_threads + thread;
  const Index draw = row / in.rows / in.pieces;
  const bool inside = v < in.columns;

  const Index at = row * 2 * in.columns + v;
  Scaled above{1, 0, 0}, below{1, 0, 0};
  if (part > 0 && inside) {
    const double2 a = state.values[at], b = state.values[at + in.columns];
    above = {a.x, a.y, state.exponents[at]};
    below = {b.x, b.y, state.exponents[at + in.columns]};
  }
  const int begin = static_cast<int>(static_cast<Index>(in.count) * piece / in.pieces);
  const Index share = static_cast<Index>(in.count) * (piece + 1) / in.pieces - begin;
  const int first = begin + static_cast<int>(share * part / parts), last = begin + static_cast<int>(share * (part + 1) / parts);
  double cosine[band_half] = {}, sine[band_half] = {};
  Index kept = -1;  // what these were read from
  for (int chunk = first; chunk < last; chunk += in.together) {
    const int end = min(chunk + in.together, last);
    if constexpr (Wide) {
      compose_band(in, in.layers[chunk], draw, u, thread, band_threads, coefficients);
    } else {
      for (int k = chunk + thread / composing; k < end; k += band_threads / composing) {
        compose_band(in, in.layers[k], draw, u, thread % composing, composing, coefficients + (k - chunk) * in.size);
      }
    }
    __syncthreads();  // the rows are complete
    for (int k = chunk; k < end && inside; ++k) {
      const BandLayer& layer = in.layers[k];
      const int half = layer.width / 2;
      const double* cosines = in.waves + layer.along + v;
      const double* sines = cosines + static_cast<Index>(half) * in.columns;
      if (half <= band_half && kept != layer.along) {
        GPU_UNROLL
        for (int j = 0; j < band_half; ++j) {
          if (j >= half) continue;
          cosine[j] = cosines[static_cast<Index>(j) * in.columns];
          sine[j] = sines[static_cast<Index>(j) * in.columns];
        }
        kept = layer.along;
      }
      const double2* c = reinterpret_cast<const double2*>(coefficients + static_cast<Index>(k - chunk) * in.size);
      double x = c[0].x, z = c[0].y, y = 0, w = 0;
      const auto add = [&](int j, double wave_c, double wave_s) {
        const double2 even = c[2 * j + 1], odd = c[2 * j + 2];
        x = fma(even.x, wave_c, x);
        z = fma(even.y, wave_c, z);
        y = fma(odd.x, wave_s, y);
        w = fma(odd.y, wave_s, w);
      };
      if (half <= band_half) {
        GPU_UNROLL
        for (int j = 0; j < band_half; ++j) {
          if (j < half) add(j, cosine[j], sine[j]);
        }
      } else {
        for (int j = 0; j < half; ++j) add(j, cosines[static_cast<Index>(j) * in.columns], sines[static_cast<Index>(j) * in.columns]);
      }
      multiply_band(x, y, z, w, above, below);
      // taps are below 1: a layer gains at most log2 of its size, and 48 of 65536 taps are far within the range
      if ((k - chunk) % 48 == 47) {
        normalise(above);
        normalise(below);
      }
    }
    __syncthreads();  // all have used them
    normalise(above);
    normalise(below);
  }
  if (!inside) return;
  state.values[at] = make_double2(above.re, above.im);
  state.values[at + in.columns] = make_double2(below.re, below.im);
  state.exponents[at] = above.exponent;
  state.exponents[at + in.columns] = below.exponent;
}

// The pieces' products multiplied in order: moduli of 1 to 2 sqrt(2) each, 2**96 together at most. values, exponents
// [draws, 2 rows - 1, columns], with the larger component in [1, 2).
__global__ void __launch_bounds__(band_threads) join_kernel(BandState pieces, int n_pieces, int rows, int columns, Index n, BandState out) {
  const Index i = blockIdx.x * Index{band_threads} + threadIdx.x;
  if (i >= n) return;
  const int whole = 2 * rows - 1, v = static_cast<int>(i % columns), row = static_cast<int>(i / columns % whole);
  const Index draw = i / columns / whole;
  const bool under = row >= rows;
  const int u = under ? whole - row : row;
  Scaled z{1, 0, 0};
  for (int p = 0; p < n_pieces; ++p) {
    const Index at = (((draw * n_pieces + p) * rows + u) * 2 + under) * columns + v;
    const double2 part = pieces.values[at];
    z = {z.re * part.x - z.im * part.y, z.re * part.y + z.im * part.x, z.exponent + pieces.exponents[at]};
  }
  normalise(z);
  out.values[i] = make_double2(z.re, z.im);
  out.exponents[i] = z.exponent;
}

}  // namespace erffast::cuda
