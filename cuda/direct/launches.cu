#include "gpu.cuh"

#include "launches.hpp"

#include <algorithm>
#include <numeric>

#include "fused.cuh"
#include "step.cuh"
#include "sums.cuh"
#include "whole.cuh"

namespace erffast::cuda {
namespace {

Index divided(Index n, Index size) { return (n + size - 1) / size; }

// go(first, count) for pieces of n blocks: of a launch's largest grid, and none with more work than a launch may have.
template <class Go>
void in_pieces(Index n, double work_of_block, Pace& pace, const Go& go) {
  const double allowed = std::clamp(pace.most() / work_of_block, 1.0, 2147483647.0);
  const Index most = static_cast<Index>(allowed);
  for (Index first = 0; first < n; first += most) {
    const Index count = std::min(most, n - first);
    pace.spend(work_of_block * static_cast<double>(count));
    go(first, static_cast<unsigned>(count));
  }
}

void launched(cudaError_t error) { check(error, "launching a kernel"); }

// Blocks of a kernel that looks at every pixel once. More than a grid may have would be more memory than there is.
unsigned blocks_for(Index n, Pace& pace, int threads = sum_threads) {
  pace.spend(20.0 * static_cast<double>(n) * threads);
  return static_cast<unsigned>(n);
}

template <class T, int parts, int members>
void step_of(StepArguments<T>& s, Index draws, double work_of_pixel, Pace& pace) {
  const bool shared = s.per_group == 0;
  const Index groups = shared ? s.to.channels : s.to.channels / s.channels_in;
  const Index per_draw = shared ? groups : groups * divided(s.channels_in, members);
  const Index across = divided(s.to.rect.width, step_columns), down = divided(s.to.rect.height, step_rows);
  s.blocks_of_channels = static_cast<unsigned>(per_draw);
  s.tiles_x = static_cast<unsigned>(across);
  s.tiles_y = static_cast<unsigned>(down);
  const Index blocks = across * down * per_draw * draws;
  in_pieces(blocks, work_of_pixel * step_threads * members, pace, [&](Index first, unsigned count) {
    s.first_tile = static_cast<unsigned>(first);
    launched(launch(backward_step_kernel<T, parts, members>, dim3(count), dim3(step_threads), 0, pace.stream(), s));
  });
}

}  // namespace

template <class T, int parts>
void backward_step(const Run<T>& run, const T* taps, Index taps_per_draw, const Power<T>* scales, const T* in, const Frame& from, T* out,
                   const Frame& to, Index draws, Pace& pace) {
  StepArguments<T> s{};
  s.in = in;
  s.out = out;
  s.taps = taps;
  s.scales = scales;
  s.from = from;
  s.to = to;
  s.taps_per_draw = taps_per_draw;
  for (int axis = 0; axis < 2; ++axis) {
    const int stride = static_cast<int>(run.stride[axis]), dilation = static_cast<int>(run.dilation[axis]), common = std::gcd(stride, dilation);
    s.axes[axis] = {stride, dilation, static_cast<int>(run.kernel[axis]), stride / common, dilation / common};
  }
  s.channels_in = static_cast<int>(run.channels_in);
  s.per_group = static_cast<int>(run.channels_out == 0 ? 0 : run.channels_out / run.groups);
  const double terms = static_cast<double>(run.kernel[0] * run.kernel[1] * std::max(1, s.per_group));
  const double work = 4 + (parts == 2 ? 14 : 1) * 4 * terms / static_cast<double>(run.stride[0] * run.stride[1]);
  if constexpr (parts == 1) {
    if (s.per_group > 0 && s.channels_in > 1) return step_of<T, parts, 4>(s, draws, work, pace);
  }
  step_of<T, parts, 1>(s, draws, work, pace);
}

template <class T, int parts>
void rescale(const T* in, const Frame& from, T* out, const Frame& to, Index draws, const double* scale, const double* scale_low, Index scale_width, Pace& pace) {
  const Index n = draws * from.channels * from.rect.height * from.rect.width;
  const RescaleArguments<T> r{in, out, from, to, scale, scale_low, scale_width, n};
  const unsigned blocks = blocks_for(divided(n, rescale_threads), pace, rescale_threads);
  launched(launch(rescale_kernel<T, parts>, dim3(blocks), dim3(rescale_threads), 0, pace.stream(), r));
}

template <class T>
void fused_layers(const FusedPlan& plan, const T* taps, const Power<T>* scales, const T* in, const Frame& from, T* out, const Frame& to,
                  Index draws, Measure* measures, Pace& pace) {
  const FusedLayers& layers = plan.layers;
  FusedArguments<T> f{in, out, taps, scales, draws, from, to, plan.tile, static_cast<unsigned>(plan.tiles_x), static_cast<unsigned>(plan.tiles_y), 0, measures};
  const std::size_t pixels = static_cast<std::size_t>(fused_pitch(plan.tile, layers.back_x)) * static_cast<std::size_t>(plan.tile.height + layers.back_y);
  const std::size_t shared = 2 * shared_bytes(pixels, sizeof(T)) + shared_bytes(static_cast<std::size_t>(layers.n_taps), sizeof(T));
  const double work = static_cast<double>(pixels) * layers.n_taps * (layers.square > 0 ? 1 : 4);
  const auto go = [&](auto kernel, int threads) {
    in_pieces(plan.tiles_x * plan.tiles_y * draws, work, pace, [&](Index first, unsigned count) {
      f.first_block = static_cast<unsigned>(first);
      launched(launch(kernel, dim3(count), dim3(static_cast<unsigned>(threads)), shared, pace.stream(), f, layers));
    });
  };
  if (layers.square == 3) return go(fused_layers_kernel<T, 3>, fused_threads<T, 3>);
  if (layers.square == 5) return go(fused_layers_kernel<T, 5>, fused_threads<T, 5>);
  go(fused_layers_kernel<T, 0>, fused_threads<T, 0>);
}

template <class T>
void whole_layers(const WholeLayers& layers, int room, int room_of_taps, double work, const T* taps, const Power<T>* scales, const T* in,
                  const Frame& from, T* out, const Frame& to, Index draws, double scale, double* sums, Pace& pace) {
  const WholeArguments<T> f{in, out, taps, scales, draws, from, to, room, room_of_taps, scale, sums};
  const std::size_t shared = 2 * shared_bytes(static_cast<std::size_t>(room), sizeof(T)) + shared_bytes(static_cast<std::size_t>(room_of_taps), sizeof(T));
  pace.spend(10 * work * static_cast<double>(draws));
  launched(launch(whole_layers_kernel<T>, dim3(static_cast<unsigned>(draws)), dim3(whole_threads), shared, pace.stream(), f, layers));
}

template <class T, int parts>
void measure(T* image, const Frame& frame, Index draws, Measure* measures, Pace& pace) {
  const Index rows = draws * frame.channels * frame.rect.height, across = divided(frame.rect.width, sum_threads);
  const MeasureArguments<T> m{image, frame, parts, measures, rows, across};
  launched(launch(measure_kernel<T>, dim3(blocks_for(rows * across, pace)), dim3(sum_threads), 0, pace.stream(), m));
}

template <class T>
void row_sums(const T* image, const Frame& frame, Index draws, const Rect& inside, double scale, double* sums, Pace& pace) {
  const Index rows = draws * frame.channels * frame.rect.height;
  const RowSums r{frame, inside.y0, inside.y0 + inside.height, inside.x0, inside.x0 + inside.width, scale, sums, rows};
  const Index blocks = divided(rows, sum_threads / lanes_of_row);
  blocks_for(divided(rows * frame.rect.width, sum_threads), pace);
  launched(launch(row_sums_kernel<T>, dim3(static_cast<unsigned>(blocks)), dim3(sum_threads), 0, pace.stream(), image, r));
}

template <class T>
void column_masses(const T* image, const Frame& frame, double peak, double* sums, Pace& pace) {
  blocks_for(divided(frame.rect.height * frame.rect.width, sum_threads), pace);
  const Index blocks = divided(frame.rect.width, sum_threads);
  launched(launch(column_sums_kernel<T>, dim3(static_cast<unsigned>(blocks)), dim3(sum_threads), 0, pace.stream(), image, frame, peak, sums));
}

template <class T>
void row_masses(const T* image, const Frame& frame, double peak, double* sums, Pace& pace) {
  blocks_for(divided(frame.rect.height * frame.rect.width, sum_threads), pace);
  const Index blocks = divided(frame.rect.height, strip);
  launched(launch(ordered_row_sums_kernel<T>, dim3(static_cast<unsigned>(blocks)), dim3(sum_threads), 0, pace.stream(), image, frame, peak, sums));
}

template <class T>
void least_positive(const T* image, const Frame& frame, double peak, unsigned long long* least, Pace& pace) {
  const Index blocks = frame.rect.height * divided(frame.rect.width, sum_threads);
  if (blocks == 0) return;
  launched(launch(least_kernel<T>, dim3(blocks_for(blocks, pace)), dim3(sum_threads), 0, pace.stream(), image, frame, peak, least));
}

template <class T>
void write_pixels(const T* image, const Frame& frame, T factor, T* out, Index y0, Index x0, Index rows, Index width, unsigned long long* top,
                  Pace& pace) {
  const Index across = divided(width, sum_threads);
  const WriteArguments<T> w{image, frame, factor, out, y0, x0, width, across, top};
  launched(launch(write_kernel<T>, dim3(blocks_for(rows * across, pace)), dim3(sum_threads), 0, pace.stream(), w));
}

#define ERFFAST_FOR(T, parts)                                                                                                               \
  template void backward_step<T, parts>(const Run<T>&, const T*, Index, const Power<T>*, const T*, const Frame&, T*, const Frame&, Index,  \
                                        Pace&);                                                                                             \
  template void rescale<T, parts>(const T*, const Frame&, T*, const Frame&, Index, const double*, const double*, Index, Pace&);                                    \
  template void measure<T, parts>(T*, const Frame&, Index, Measure*, Pace&)
ERFFAST_FOR(float, 1);
ERFFAST_FOR(double, 1);
ERFFAST_FOR(double, 2);
#undef ERFFAST_FOR

#define ERFFAST_FOR(T)                                                                                                                  \
  template void fused_layers<T>(const FusedPlan&, const T*, const Power<T>*, const T*, const Frame&, T*, const Frame&, Index, Measure*, Pace&); \
  template void whole_layers<T>(const WholeLayers&, int, int, double, const T*, const Power<T>*, const T*, const Frame&, T*, const Frame&, Index, double, double*, Pace&); \
  template void row_sums<T>(const T*, const Frame&, Index, const Rect&, double, double*, Pace&);                                        \
  template void column_masses<T>(const T*, const Frame&, double, double*, Pace&);                                                      \
  template void row_masses<T>(const T*, const Frame&, double, double*, Pace&);                                                         \
  template void least_positive<T>(const T*, const Frame&, double, unsigned long long*, Pace&);                                         \
  template void write_pixels<T>(const T*, const Frame&, T, T*, Index, Index, Index, Index, unsigned long long*, Pace&)
ERFFAST_FOR(float);
ERFFAST_FOR(double);
#undef ERFFAST_FOR

}  // namespace erffast::cuda
