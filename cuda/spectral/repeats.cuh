// Kernels used many times: z**count in double-double arithmetic, a thread for each frequency that matters (why so: cpp/src/spectral/
// repeats.cpp, whose steps and order these are).
//
// Expected on an H100, not measured: a frequency takes some 30 operations a tap and 60 a squaring, 400 to 1000 in all, on the few per cent
// of the frequencies that are not negligible; 2016 x 2016 pixels in some 20 us, and 60 us for the logarithms of all.
#pragma once

#include "spectral/coarse.cuh"
#include "spectral/double_double.cuh"
#include "spectral/warps.cuh"

namespace erffast::cuda {

constexpr double negligible_bits = 90;
constexpr int powers_blocks = 4;  // of a multiprocessor at a time: 128 registers a thread, and none in memory

__device__ inline double log2_of(double2 z) { return 0.5 * log2(z.x * z.x + z.y * z.y); }

// logs [draws, rows, columns] = log2 of the product's size
__global__ void __launch_bounds__(each_threads) log_kernel(ProductState state, Index n, double* logs) {
  for (Index i = blockIdx.x * Index{each_threads} + threadIdx.x; i < n; i += Index{gridDim.x} * each_threads) {
    logs[i] = log2_of(state.values[i]) + state.exponents[i];
  }
}

__global__ void __launch_bounds__(each_threads) add_log_kernel(Coarse coarse, Index n, double count, double* logs) {
  for (Index i = blockIdx.x * Index{each_threads} + threadIdx.x; i < n; i += Index{gridDim.x} * each_threads) {
    const auto [z, exponent] = coarse_at(coarse, i);
    logs[i] += count * (log2_of(z) + exponent);
  }
}

// A warp for each row of logs [rows, columns]: the largest. out [rows]
__global__ void __launch_bounds__(look_threads) largest_log_kernel(const double* logs, Index rows, int columns, double* out) {
  const Index row = warp_of_grid();
  if (row >= rows) return;
  double largest = logs[row * columns];
  for (int v = lane(); v < columns; v += warp_lanes) largest = fmax(largest, logs[row * columns + v]);
  largest = warp_largest(largest);
  if (lane() == 0) out[row] = largest;
}

// A warp for each row: first and end of the columns that matter. tops [draws]; out [rows] with `rows_of_draw` each.
__global__ void __launch_bounds__(look_threads)
    range_kernel(const double* logs, Index rows, Index rows_of_draw, int columns, const double* tops, int2* out) {
  const Index row = warp_of_grid();
  if (row >= rows) return;
  const double least = tops[row / rows_of_draw] - negligible_bits;
  int first = columns, end = 0;
  for (int v = lane(); v < columns; v += warp_lanes) {
    if (!(logs[row * columns + v] >= least)) continue;
    first = min(first, v);
    end = v + 1;
  }
  first = -warp_largest(-first);
  end = warp_largest(end);
  if (lane() == 0) out[row] = make_int2(first, end);
}

// One kernel used `count` times: taps [1 or draws][height, width].
struct Repeated {
  const double* taps;
  Index draw_stride, count;
  int height, width;
  Index spacing[2];
};

struct PowersInput {
  const Repeated* runs;
  int n_runs;
  const int2* ranges;             // [draws * rows]
  const Index* bases;             // [draws]: powers of two that go into the draws' own exponents
  const Exact* turns[2];          // [2 n][..]: exp(2 pi i k / n) as (re, im) pairs, of the vertical and the horizontal period
  int period[2], rows, columns;
  int band;                       // the last row of a band before the negative ones, or all rows
};

__device__ inline ExactScaled turn_at(const PowersInput& in, int axis, Index k, Index spacing, Index tap) {
  const Index n = in.period[axis], at = k % n * (spacing % n) % n * ((tap % n + n) % n) % n;
  const Index back = at == 0 ? 0 : n - at;
  return {in.turns[axis][2 * back], in.turns[axis][2 * back + 1], 0};
}

// A layer's transfer function at one frequency.
__device__ inline ExactScaled transfer_at(const PowersInput& in, const Repeated& run, const double* taps, Index u, Index v) {
  ExactScaled sum{{0, 0}, {0, 0}, 0};
  for (int b = 0; b < run.width; ++b) {
    ExactScaled column{{0, 0}, {0, 0}, 0};
    for (int a = 0; a < run.height; ++a) {
      const ExactScaled z = turn_at(in, 0, u, run.spacing[0], a - (run.height - 1) / 2);
      const double tap = taps[a * run.width + b];
      column.re = multiply_add(column.re, tap, z.re);
      column.im = multiply_add(column.im, tap, z.im);
    }
    ExactScaled along = turn_at(in, 1, v, run.spacing[1], b - (run.width - 1) / 2);
    multiply(along, column);
    sum.re = multiply_add(sum.re, 1.0, along.re);
    sum.im = multiply_add(sum.im, 1.0, along.im);
  }
  return sum;
}

// one**count by squaring
__device__ inline ExactScaled power(ExactScaled one, Index count) {
  normalise(one);
  ExactScaled z = one;
  int top = 0;
  while ((count >> (top + 1)) > 0) ++top;
  for (int bit = top - 1; bit >= 0; --bit) {
    multiply(z, ExactScaled(z));
    normalise(z);
    if (((count >> bit) & 1) == 0) continue;
    multiply(z, one);
    normalise(z);
  }
  return z;
}

// Frequencies [first, first + n) of all: state *= the powers; 0 where they do not matter.
__global__ void __launch_bounds__(look_threads, powers_blocks) powers_kernel(ProductState state, PowersInput in, Index first, Index n) {
  const Index i = first + blockIdx.x * Index{look_threads} + threadIdx.x;
  if (i >= first + n) return;
  const Index row = i / in.columns, draw = row / in.rows, v = i % in.columns;
  if (v < in.ranges[row].x || v >= in.ranges[row].y) {
    state.values[i] = make_double2(0, 0);
    state.exponents[i] = 0;
    return;
  }
  const Index place = row % in.rows, u = place > in.band ? in.period[0] - (in.rows - place) : place;
  double2 value = state.values[i];
  Index total = state.exponents[i];
  for (int r = 0; r < in.n_runs; ++r) {
    const Repeated& run = in.runs[r];
    const ExactScaled z = power(transfer_at(in, run, run.taps + draw * run.draw_stride, u, v), run.count);
    value = make_double2(value.x * z.re.hi - value.y * z.im.hi, value.x * z.im.hi + value.y * z.re.hi);
    total += z.exponent + to_half(value);
  }
  state.values[i] = value;
  const Index limit = 1'000'000'000, e = total - in.bases[draw];
  state.exponents[i] = static_cast<std::int32_t>(e < -limit ? -limit : e > limit ? limit : e);
}

}  // namespace erffast::cuda
