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

// One pass of a transform of n = radix * s * q complex numbers: the element at t + s (j + q i) is the i-th of `radix` that are
// combined, and the k-th sum goes to t + s (radix j + k), turned by exp(2 pi i j k / (radix q)).
struct FourierPass {
  Index radix, s, q;
  const double* turns;  // [q][radix - 1] cosines and sines of 2 pi j k / (radix q), k from 1
  const double* roots;  // [radix] cosines and sines of 2 pi k / radix
};

struct FourierPlan {
  Index n, passes;
  const FourierPass* pass;
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
  // Inverse transforms down `count` <= lanes columns of complex numbers, in place; rows `pitch` doubles apart. space: doubles
  // [2][plan.n][2][lanes], aligned.
  void (*transform_columns)(double* values, Index pitch, Index count, const FourierPlan& plan, double* space);
  // `count` <= 2 lanes rows of n / 2 + 1 complex numbers become rows of n real ones, times `scale`, in the same place. Writes the
  // sum of squares of each row, and returns the largest absolute value.
  double (*transform_rows)(double* values, Index pitch, Index count, double scale, const FourierPlan& plan, double* space, double* energies);
};

}  // namespace erffast
