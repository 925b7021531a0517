// Images of non-negative chains from few waves.
#pragma once

#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast {

struct Extremes {
  double largest, smallest;  // of the pixels, before those below 0 were set to 0
};

// out[y][x] = max(0, sum over k, in order, of weights[y][k] * waves[k][x]).
//   weights [height, n_waves], waves [n_waves, pitch] with pitch a multiple of 16 and at least width, out [height, width]
Extremes synthesise(const double* weights, const double* waves, Index n_waves, Index pitch, double* out, Index height, Index width, int threads,
                    Monitor& monitor);

}  // namespace erffast
