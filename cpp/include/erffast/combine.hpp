// Lines as sums of few others.
#pragma once

#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast {

// out[y][x] = sum over k, in order, of weights[y][k] * lines[k][x].
//   weights [height, n_lines], lines [n_lines, pitch] with pitch a multiple of 16 and at least width, out [height, width]
void combine(const double* weights, const double* lines, Index n_lines, Index pitch, double* out, Index height, Index width, int threads,
             Monitor& monitor);

}  // namespace erffast
