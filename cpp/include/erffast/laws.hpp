// Kernels without negative taps as distributions of steps: what the band-limited engine certifies with.
#pragma once

#include <cstdint>
#include <vector>

#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast {

// Kernels [n][rows, columns], each `stride` doubles after the one before.
struct Kernels2D {
  const double* taps;
  Index n, stride, rows, columns;
};

// Of the kernels divided by their totals: `lags` [2 rows - 1, 2 columns - 1], their autocorrelations added up, lag 0 in the middle;
// down [rows, n] and along [columns, n], each one's sums along its rows and columns.
void steps(const Kernels2D& kernels, double* lags, double* down, double* along, int threads, Monitor& monitor);

// log of the product over n kernels p of max(least, sum over j, in order, of factors[t][j] * masses[j][p]), for each t of `times`:
// logs [times], from masses [side, n] and factors [times, side].
void tilted(const double* masses, Index side, Index n, const double* factors, Index times, double least, double* logs);

}  // namespace erffast
