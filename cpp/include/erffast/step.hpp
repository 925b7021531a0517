// What an engine is asked to do: a chain of runs of equal backward steps. No Python here.
#pragma once

#include <cstdint>

namespace erffast {

using Index = std::int64_t;

// A rectangle of pixels in the coordinates of one feature map. 1-D networks are images of height 1.
struct Rect {
  Index y0 = 0, x0 = 0, height = 1, width = 1;
};

// `count` equal backward steps in a row:
//   g_in[c, s*i + d*a - p] += sum over o in the group of c, and taps a:  taps[o, c, a] * scale[i] * g_up[o, i]
// (forward convention: y[i] = sum_a w[a] x[s*i + d*a - p]). Pixels outside the layer's input map are dropped.
template <class T>
struct Run {
  Index kernel[2];       // taps per axis (row, column)
  Index stride[2];
  Index dilation[2];
  Index before[2];       // left padding p
  bool bounded;          // false: the unbounded plane
  Index extent[2];       // input map of the run's first backward step
  Index growth[2];       // change of that map with each further step
  Index count;
  Index n_kernels;       // 1 (the same kernel each time) or count
  Index tap_draws;       // 1 (the same for every draw) or the number of draws
  Index channels_out;    // channels of g_up; 0: any number, the same one-channel kernel for each
  Index channels_in;     // per group
  Index groups;
  const T* taps;         // [n_kernels, tap_draws, channels_out or 1, channels_in, kernel[0], kernel[1]]
  const double* scale;   // [rows, columns of the layer's output map] or null
  const double* scale_low;  // [same] what `scale` has lost by rounding, for double-double pixels; or null
  Index scale_height, scale_width;
};

}  // namespace erffast
