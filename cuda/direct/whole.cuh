// Layers of a small map, many in one launch: a block has a draw's whole image in shared memory.
//
// Layer by layer, a map of some 100 x 100 pixels, or a line, keeps a GPU busy for less time than the launches take; and what a border
// takes is a sum over whole rows. Here both stay in the block. Any kernel and dilation, stride 1, one channel. Bound by shared memory,
// two numbers a multiply-add, on one multiprocessor a draw: some 4 us a layer for 100 x 100 doubles on an H100, against 5 us for the
// two launches that it replaces, and 1 us for a line (not measured).
#pragma once

#include "arithmetic.cuh"
#include "sums.cuh"

namespace erffast::cuda {

template <class T>
struct WholeArguments {
  const T* in;
  T* out;
  const T* taps;           // of the whole chain
  const Power<T>* scales;  // [layers of the launch, draws]
  Index draws;
  Frame from, to;          // `to`: what the last layer's map keeps
  int room, room_of_taps;  // elements of an image, and of a kernel, at most
  double scale;            // as of RowSums
  double* sums;            // the same, from each layer's first on
};

inline constexpr int whole_threads = 512;

template <class T>
__global__ void __launch_bounds__(whole_threads, 1) whole_layers_kernel(WholeArguments<T> f, WholeLayers layers) {
  const int thread = static_cast<int>(threadIdx.x), draw = static_cast<int>(blockIdx.x);
  SharedMemory shared;
  T* now = shared.take<T>(f.room);
  T* next = shared.take<T>(f.room);
  T* taps = shared.take<T>(f.room_of_taps);
  int height = static_cast<int>(f.from.rect.height), width = static_cast<int>(f.from.rect.width), first = 0, pitch = width;
  for (int i = thread; i < height * width; i += whole_threads) now[i] = f.in[f.from.row(draw, 0, i / width) + i % width];

  for (int l = 0; l < layers.n; ++l) {
    const WholeLayer& layer = layers.layers[l];
    const Power<T> scale = f.scales[l * f.draws + draw];
    const T* from = f.taps + layer.taps + draw * layer.taps_per_draw;
    for (int i = thread; i < layer.rows * layer.columns; i += whole_threads) taps[i] = from[i] * scale.first * scale.second;
    __syncthreads();

    for (int i = thread; i < layer.height * layer.width; i += whole_threads) {
      const int y = i / layer.width, x = i % layer.width;
      T sum = 0;
      for (int begin = 0; begin < layer.rows; begin += rows_at_a_time) {
        for (int b = 0; b < layer.columns; ++b) {
          const int column = x - layer.across * b;
          if (column < 0 || column >= width) continue;
          for (int a = min(begin + rows_at_a_time, layer.rows) - 1; a >= begin; --a) {
            const int row = y - layer.down * a;
            if (row >= 0 && row < height) sum = multiply_add(sum, taps[a * layer.columns + b], now[first + row * pitch + column]);
          }
        }
      }
      next[i] = sum;
    }
    __syncthreads();

    if (layer.sums >= 0) {  // all threads of a warp take part in its rows
      constexpr int at_once = whole_threads / lanes_of_row;
      for (int begin = 0; begin < layer.height; begin += at_once) {
        const int y = begin + thread / lanes_of_row, lane = thread % lanes_of_row;
        const bool real = y < layer.height;
        const bool outside = y < layer.y0 || y >= layer.y0 + layer.kept_height || layer.kept_width <= 0;
        const int ends[3] = {outside ? layer.width : layer.x0, outside ? layer.width : layer.x0 + layer.kept_width, layer.width};
        int x = 0;
        for (int i = 0; i < 3; ++i) {
          const double sum = eighth_of_row(next + (real ? y : 0) * layer.width + x, real ? ends[i] - x : 0, lane, static_cast<T>(f.scale));
          if (real && lane == 0) f.sums[layer.sums + 3 * (static_cast<Index>(draw) * layer.height + y) + i] = sum;
          x = ends[i];
        }
      }
    }
    T* const last = now;
    now = next;
    next = last;
    pitch = layer.width;
    first = layer.y0 * pitch + layer.x0;
    height = layer.kept_height;
    width = layer.kept_width;
  }
  for (int i = thread; i < height * width; i += whole_threads) {
    f.out[f.to.row(draw, 0, i / width) + i % width] = now[first + i / width * pitch + i % width];
  }
}

}  // namespace erffast::cuda
