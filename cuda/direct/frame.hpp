// Where the pixels of a batch of draws stand on the device.
#pragma once

#include <cuda_runtime.h>

#include "erffast/step.hpp"

namespace erffast::cuda {

// Images of one rectangle, for some draws and channels. Pixel (draw, channel, part, y, x), counted from the rectangle's corner:
//   data[first + draw * per_draw + channel * per_channel + part * per_part + y * pitch + x]
// Beyond its sides there is nothing: kernels look before they read. So a rectangle shrinks without any pixel being touched.
struct Frame {
  Rect rect;
  Index channels = 1;
  Index first = 0;
  Index pitch = 0, per_part = 0, per_channel = 0, per_draw = 0;  // elements

  // Rows begin at multiples of 128 bytes.
  template <class T>
  static Frame of(const Rect& rect, Index channels, Index parts) {
    constexpr Index line = 128 / static_cast<Index>(sizeof(T));
    Frame f;
    f.rect = rect;
    f.channels = channels;
    f.pitch = (rect.width + line - 1) / line * line;
    f.per_part = f.pitch * rect.height;
    f.per_channel = f.per_part * parts;
    f.per_draw = f.per_channel * channels;
    return f;
  }

  // Rows [y0, y1) and columns [x0, x1).
  Frame cropped(Index y0, Index y1, Index x0, Index x1) const {
    Frame f = *this;
    f.rect = {rect.y0 + y0, rect.x0 + x0, y1 - y0, x1 - x0};
    f.first += y0 * pitch + x0;
    return f;
  }

  __host__ __device__ Index row(Index draw, Index channel, Index y) const { return first + draw * per_draw + channel * per_channel + y * pitch; }
};

// A power of two in two factors, for 2**1024 is no double and 2**128 no float.
template <class T>
struct Power {
  T first, second;
};

// A layer of a fused launch: stride 1, one channel.
struct FusedLayer {
  Index taps;           // of draw 0, counted from the first of the chain's
  Index taps_per_draw;  // 0: the same for all draws
  int rows, columns;    // of the kernel
  int down, across;     // dilation
  __host__ __device__ int before_y() const { return down * (rows - 1); }
  __host__ __device__ int before_x() const { return across * (columns - 1); }
};

// Layers that go through shared memory together. Causal layout: out[y][x] = sum of w[a][b] * in[y - down * a][x - across * b].
inline constexpr int most_fused = 64;
struct FusedLayers {
  int n = 0;
  int n_taps = 0;  // of all of them
  int back_y = 0, back_x = 0;
  int square = 0;  // 3 or 5: all kernels are squares of that size, without dilation; 0: any
  FusedLayer layers[most_fused];
};

// A layer of a launch that has whole images in shared memory: stride 1, one channel.
struct WholeLayer {
  Index taps, taps_per_draw;             // as of FusedLayer
  Index sums;                            // where its sums of rows begin; -1: the map takes nothing
  int rows, columns, down, across;       // of the kernel
  int height, width;                     // of all that it gives
  int y0, x0, kept_height, kept_width;   // what the map keeps of it
};

inline constexpr int most_whole = 32;
struct WholeLayers {
  int n = 0;
  WholeLayer layers[most_whole];
};

// What a block computes at once: its piece of the last layer's image, and what the layers look back.
struct Tile {
  int height = 0, width = 0;
};

// A group's measurements of one draw. Zero where all pixels are.
struct Measure {
  unsigned long long peak;            // bits of the largest |pixel| as a double
  unsigned long long bottom, right;   // 1 + the last row and column that are not zero
  unsigned long long top, left;       // height and width less the first ones
};

}  // namespace erffast::cuda
