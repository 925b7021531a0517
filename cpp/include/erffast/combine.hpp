// Lines as sums of few others: images from waves, spectra from images.
#pragma once

#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast {

struct Extremes {
  double largest, smallest;  // of all values, before those below `lowest` were set to it
};

// out[y][x] = max(lowest, sum over k, in order, of weights[y][k] * lines[k][x]).
//   weights [height, n_lines], lines [n_lines, pitch] with pitch a multiple of 16 and at least width, out [height, width]
Extremes combine(const double* weights, const double* lines, Index n_lines, Index pitch, double lowest, double* out, Index height,
                 Index width, int threads, Monitor& monitor);

}  // namespace erffast
