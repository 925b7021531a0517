// Several layers with stride 1 in one launch: a block leads its piece of the image through all of them in shared memory.
//
// Layer by layer, an image travels through the device's memory once a layer, and every launch costs some 2 us. In causal layout,
//   out[y][x] = sum of w[a][b] * in[y - down * a][x - across * b],
// a piece of the last layer's image needs of the first one's input as much more, above and to the left, as the layers look back
// together. Each layer leaves off what only the layers before it needed; pixels beyond the image are zeros and stay so, for nothing
// comes before the first row and column. Which piece a pixel is computed in does not enter its sum: the bits are those of
// single layers, and of the CPU's pipeline.
//
// Squares of 3 and 5 go in registers: a thread has two neighbouring columns and slides down its rows, so that a row of K + 1 pixels,
// loaded in pairs without conflicts between banks, serves 2 K * K fused multiply-adds: for K = 3, 4 cycles of shared memory beside
// 4.5 of arithmetic in float32 on an H100 (8 beside 9 in float64), before halo, barriers and launches (not measured). Kernels of
// 2 to 7 rows take 1.5 to 2.7 multiply-adds a number loaded, all others half of one.
#pragma once

#include "arithmetic.cuh"

namespace erffast::cuda {

template <class T>
struct FusedArguments {
  const T* in;
  T* out;
  const T* taps;           // of the whole chain
  const Power<T>* scales;  // [layers of the launch, draws]
  Index draws;
  Frame from, to;
  Tile tile;
  unsigned tiles_x, tiles_y, first_block;
  Measure* measures;       // [draws], or null; where given, the pixels are flushed
};

template <class T>
struct PairOf;
template <>
struct PairOf<float> {
  using type = float2;
};
template <>
struct PairOf<double> {
  using type = double2;
};

// Two blocks of registers hold the window and the taps of a 5 x 5 kernel in float64.
template <class T, int K>
inline constexpr int fused_threads = K == 5 && sizeof(T) == 8 ? 256 : 512;

// Rows of shared memory begin at even columns.
__host__ __device__ inline int fused_pitch(const Tile& tile, int back_x) { return (tile.width + back_x + 1) / 2 * 2; }

// A thread's two columns at x, rows [y0, y1): the K rows that a sum reads are kept in registers, one of them new for each row.
template <class T, int K>
__device__ inline void slide(const T* in, T* out, int pitch, int x, int y0, int y1, const T (&taps)[K * K]) {
  using Pair = typename PairOf<T>::type;
  T window[K][K + 1];
  const auto load = [&](int y, T(&row)[K + 1]) {
    const T* from = in + y * pitch + x - (K - 1);
    GPU_UNROLL
    for (int i = 0; i < K + 1; i += 2) {
      const Pair pair = *reinterpret_cast<const Pair*>(from + i);
      row[i] = pair.x;
      row[i + 1] = pair.y;
    }
  };
  GPU_UNROLL
  for (int j = 0; j < K - 1; ++j) load(y0 - (K - 1) + j, window[j]);
  for (int y = y0; y < y1; y += K) {
    GPU_UNROLL
    for (int j = 0; j < K; ++j) {
      if (y + j < y1) {
        load(y + j, window[(K - 1 + j) % K]);
        Pair sum = {T(0), T(0)};
        GPU_UNROLL
        for (int b = 0; b < K; ++b) {
          GPU_UNROLL
          for (int a = K - 1; a >= 0; --a) {
            const T(&row)[K + 1] = window[(2 * K - 1 + j - a) % K];
            sum.x = multiply_add(sum.x, taps[a * K + b], row[K - 1 - b]);
            sum.y = multiply_add(sum.y, taps[a * K + b], row[K - b]);
          }
        }
        *reinterpret_cast<Pair*>(out + (y + j) * pitch + x) = sum;
      }
    }
  }
}

// Rows [y0, height) and columns [x0, pitch) of a layer with a square kernel: chunks of 64 columns by strips of rows are dealt to warps.
template <class T, int K>
__device__ inline void square_layer(const T* in, T* out, int pitch, int height, int y0, int x0, const T* shared_taps) {
  constexpr int warps = fused_threads<T, K> / 32;
  T taps[K * K];
  GPU_UNROLL
  for (int t = 0; t < K * K; ++t) taps[t] = shared_taps[t];
  const int chunks = (pitch - x0 + 63) / 64, strips = max(1, warps / chunks), rows = (height - y0 + strips - 1) / strips;
  for (int item = static_cast<int>(threadIdx.x) / 32; item < chunks * strips; item += warps) {
    const int x = x0 + item % chunks * 64 + static_cast<int>(threadIdx.x) % 32 * 2, first = y0 + item / chunks * rows;
    if (x < pitch && first < height) slide<T, K>(in, out, pitch, x, first, min(first + rows, height), taps);
  }
}

// The same for kernels of R rows without dilation downwards: a thread has a column and eight rows, and a column of taps at a time, so
// that eight rows of R taps take R + 7 pixels.
template <class T, int threads, int R>
__device__ inline void tall_layer(const T* in, T* out, int pitch, int height, int y0, int x0, const FusedLayer& layer, const T* taps) {
  constexpr int warps = threads / 32, rows = 8;
  const int chunks = (pitch - x0 + 31) / 32, strips = (height - y0 + rows - 1) / rows;
  for (int item = static_cast<int>(threadIdx.x) / 32; item < chunks * strips; item += warps) {
    const int x = x0 + item % chunks * 32 + static_cast<int>(threadIdx.x) % 32, y = y0 + item / chunks * rows;
    if (x >= pitch) continue;
    T sums[rows] = {};
    for (int b = 0; b < layer.columns; ++b) {
      const T* from = in + (y - (R - 1)) * pitch + x - layer.across * b;
      T pixels[rows + R - 1], weights[R];
      GPU_UNROLL
      for (int i = 0; i < rows + R - 1; ++i) pixels[i] = y - (R - 1) + i < height ? from[i * pitch] : T(0);
      GPU_UNROLL
      for (int a = 0; a < R; ++a) weights[a] = taps[a * layer.columns + b];
      GPU_UNROLL
      for (int j = 0; j < rows; ++j) {
        GPU_UNROLL
        for (int a = R - 1; a >= 0; --a) sums[j] = multiply_add(sums[j], weights[a], pixels[j + R - 1 - a]);
      }
    }
    GPU_UNROLL
    for (int j = 0; j < rows; ++j) {
      if (y + j < height) out[(y + j) * pitch + x] = sums[j];
    }
  }
}

// The same for any kernel: a pixel a thread.
template <class T, int threads>
__device__ inline void any_layer(const T* in, T* out, int pitch, int height, int y0, int x0, const FusedLayer& layer, const T* taps) {
  const int width = pitch - x0;
  for (int i = static_cast<int>(threadIdx.x); i < (height - y0) * width; i += threads) {
    const int at = (y0 + i / width) * pitch + x0 + i % width;
    T sum = 0;
    for (int first = 0; first < layer.rows; first += rows_at_a_time) {
      for (int b = 0; b < layer.columns; ++b) {
        for (int a = min(first + rows_at_a_time, layer.rows) - 1; a >= first; --a) {
          sum = multiply_add(sum, taps[a * layer.columns + b], in[at - layer.down * a * pitch - layer.across * b]);
        }
      }
    }
    out[at] = sum;
  }
}

template <class T, int threads>
__device__ inline void layer_of_any_shape(const T* in, T* out, int pitch, int height, int y0, int x0, const FusedLayer& layer, const T* taps) {
  switch (layer.down == 1 ? layer.rows : 0) {
    case 2: return tall_layer<T, threads, 2>(in, out, pitch, height, y0, x0, layer, taps);
    case 3: return tall_layer<T, threads, 3>(in, out, pitch, height, y0, x0, layer, taps);
    case 4: return tall_layer<T, threads, 4>(in, out, pitch, height, y0, x0, layer, taps);
    case 5: return tall_layer<T, threads, 5>(in, out, pitch, height, y0, x0, layer, taps);
    case 6: return tall_layer<T, threads, 6>(in, out, pitch, height, y0, x0, layer, taps);
    case 7: return tall_layer<T, threads, 7>(in, out, pitch, height, y0, x0, layer, taps);
    default: return any_layer<T, threads>(in, out, pitch, height, y0, x0, layer, taps);
  }
}

// K: 3 or 5 where all kernels of the launch are such squares, else 0.
template <class T, int K>
__global__ void __launch_bounds__(fused_threads<T, K>, 1) fused_layers_kernel(FusedArguments<T> f, FusedLayers layers) {
  constexpr int threads = fused_threads<T, K>, warps = threads / 32;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int pitch = fused_pitch(f.tile, layers.back_x), height = f.tile.height + layers.back_y;
  SharedMemory shared;
  T* now = shared.take<T>(pitch * height);
  T* next = shared.take<T>(pitch * height);
  T* taps = shared.take<T>(layers.n_taps);
  unsigned block = f.first_block + blockIdx.x;
  const int x0 = static_cast<int>(block % f.tiles_x) * f.tile.width;
  block /= f.tiles_x;
  const int y0 = static_cast<int>(block % f.tiles_y) * f.tile.height, draw = static_cast<int>(block / f.tiles_y);

  T* to = taps;
  for (int l = 0; l < layers.n; ++l) {
    const FusedLayer& layer = layers.layers[l];
    const Power<T> scale = f.scales[l * f.draws + draw];
    const T* from = f.taps + layer.taps + draw * layer.taps_per_draw;
    const int size = layer.rows * layer.columns;
    for (int i = threadIdx.x; i < size; i += threads) to[i] = from[i] * scale.first * scale.second;
    to += size;
  }
  for (int i = warp; i < height; i += warps) {
    const int y = y0 - layers.back_y + i;
    const bool real = y >= 0 && y < f.from.rect.height;
    const T* row = f.in + f.from.row(draw, 0, real ? y : 0);
    for (int j = lane; j < pitch; j += 32) {
      const int x = x0 - layers.back_x + j;
      now[i * pitch + j] = real && x >= 0 && x < f.from.rect.width ? row[x] : T(0);
    }
  }
  __syncthreads();

  int back_y = 0, back_x = 0;
  for (int l = 0; l < layers.n; ++l) {
    const FusedLayer& layer = layers.layers[l];
    back_y += layer.before_y();
    back_x += layer.before_x();
    if constexpr (K > 0) {
      square_layer<T, K>(now, next, pitch, height, back_y, back_x, taps);
    } else {
      layer_of_any_shape<T, threads>(now, next, pitch, height, back_y, back_x, layer, taps);
    }
    taps += layer.rows * layer.columns;
    __syncthreads();
    T* const last = now;
    now = next;
    next = last;
  }

  Seen seen;
  for (int i = back_y + warp; i < height; i += warps) {
    const int y = y0 + i - back_y;
    for (int j = back_x + lane; j < back_x + f.tile.width; j += 32) {
      const int x = x0 + j - back_x;
      if (y >= f.to.rect.height || x >= f.to.rect.width) continue;
      T value = now[i * pitch + j];
      if (f.measures != nullptr) {
        value = flushed(value);
        seen.look(value, y, x, f.to.rect);
      }
      f.out[f.to.row(draw, 0, y) + x] = value;
    }
  }
  if (f.measures != nullptr) seen.add_to(f.measures + draw);
}

}  // namespace erffast::cuda
