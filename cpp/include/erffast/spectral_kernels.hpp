// Inner loops of the spectral product, compiled once per instruction set (cpp/src/kernels/spectral.inl).
#pragma once

#include "erffast/step.hpp"

namespace erffast {

// A kernel folded about its middle row, in a box of odd sides:
//   even[y][b] = w[y][b] + w[-y][b]  (w[0][b] for y = 0),  odd[y][b] = w[-y][b] - w[y][b],  y in [0, half_y], b in [0, 2 half_x]
struct Folded {
  const double* even;
  const double* odd;
  Index half_y, half_x;
};

// Consecutive layers whose rows are multiplied before they are evaluated. Its coefficients at one vertical frequency are
//   re c[0], im c[0], then for j = 1 .. half:  re(c[j] + c[-j]), im(c[j] + c[-j]), im(c[j] - c[-j]), re(c[j] - c[-j])
// where sum_j c[j] exp(-i j v) is the transfer function along the row.
struct Group {
  Index first, layers;
  Index half;
  bool renormalise;  // after it
  Index equal;       // groups of this length from here on, this one among them, up to the next renormalisation
  static constexpr Index most_layers = 8;
  static constexpr Index largest_half = 8;  // of several layers; a single layer may be larger
  Index size() const { return 2 + 4 * half; }
};

// Where the running products of one row u stand: index 0 is (u, v), 1 (-u, v), 2 (u, pi - v), 3 (-u, pi - v).
struct RowState {
  double* re[4];
  double* im[4];
  std::int64_t* exponent[4];
};

struct SpectralKernels {
  Index lanes;  // doubles of one vector
  // Coefficients of one group at `lanes` vertical frequencies. cosines, sines: [half_y + 1][lanes] of y u. out: one pointer
  // per lane.
  void (*compose)(const Folded* layers, Index n_layers, Index half, const double* cosines, const double* sines, double* const* out);
  // Multiplies the running products of a row by all groups. cosines, sines: [vectors][table_half][lanes] of j v, j from 1.
  // `mirrored`: also at pi - v; `paired`: also at -u; `first`: the products start at 1.
  void (*multiply)(const double* coefficients, const Group* groups, Index n_groups, const double* cosines, const double* sines,
                   Index table_half, Index vectors, bool mirrored, bool paired, bool first, const RowState& state);
  // The products of a row as complex numbers and powers of two, to `values` and `powers` on, or before them, `backward`. Returns the
  // largest power of those that are not zero, or the least Index.
  Index (*write_row)(const double* re, const double* im, const std::int64_t* exponents, Index n, bool backward, double* values,
                     std::int32_t* powers);
  // Complex values[i] *= 2**(powers[i] - shift), or zero where that is no normal number.
  void (*scale_row)(double* values, const std::int32_t* powers, Index n, Index shift);
};

}  // namespace erffast
