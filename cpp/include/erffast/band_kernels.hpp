// Inner loops of the band-limited engine, compiled once per instruction set (cpp/src/kernels/band.inl).
#pragma once

#include <cstdint>

#include "erffast/step.hpp"

namespace erffast {

struct BandKernels {
  Index lanes;  // doubles of one vector

  // The row of a kernel at `lanes` vertical frequencies, c[j] = sum over its rows a of taps[a][j] exp(-i a u), as
  //   re c[0], im c[0], then for j = 1 .. width / 2:  re(c[j] + c[-j]), im(c[j] + c[-j]), im(c[j] - c[-j]), re(c[j] - c[-j])
  // with the column (width - 1) / 2 in the middle. taps [height, width]; cosines, sines [height][lanes] of -a u; out [..][lanes].
  void (*compose)(const double* taps, Index height, Index width, const double* cosines, const double* sines, double* out);
  // Multiplies running products by n layers composed so, all of one width, `half` = width / 2. cosines, sines [columns][half] of j v.
  // products [columns][re, im at u, re, im at -u][lanes], brought to [1, 2) in the end; exponents [columns][u, -u][lanes].
  void (*multiply)(const double* coefficients, Index n, Index half, const double* cosines, const double* sines, Index columns,
                   double* products, std::int64_t* exponents);

  // A tile of an image symmetric in its waves: with e = sum over k, in order, of z[i][k][0] * waves[k][0][j], and o the same of
  // index 1, left[i * pitch + j] = max(e + o, 0) and right[i * pitch - j] = max(e - o, 0). j < tile_columns;
  // z [rows, n, 2], waves [n, 2, tile_columns]. extremes: the largest and smallest so far, before those below 0 became 0.
  Index tile_columns;
  void (*mirrored)(const double* z, Index rows, Index n, const double* waves, double* left, double* right, Index pitch, double* extremes);

  // Eight kernels side by side: taps [rows, columns, 8] are divided by their totals; lags [rows, 2 columns - 1, 8] gains
  // sum over (a, b) of m[a][b] m[a + i][b + j - columns + 1].
  void (*correlate)(double* taps, Index rows, Index columns, double* lags);
  // product, exponents [8]: times sum over j, in order, of factors[j] * masses[j * pitch + p], at least `least`, for p = lane + 8 i
  // below n, a multiple of 8; the product is kept in [1, 2).
  void (*tilt)(const double* masses, Index side, Index pitch, Index n, const double* factors, double least, double* product,
               std::int64_t* exponents);
};

}  // namespace erffast
