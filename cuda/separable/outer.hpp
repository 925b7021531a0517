// Outer products: the images of separable results.
#pragma once

#include "erffast/step.hpp"

namespace erffast::cuda {

// Elements from one row of an image to the next, so that each begins at 16 bytes.
template <class T>
constexpr Index outer_pitch(Index n_columns) {
  constexpr Index line = 16 / static_cast<Index>(sizeof(T));
  return (n_columns + line - 1) / line * line;
}

// out[i, j] = rows[i] * columns[j] * 2**shift, rounded to T; what is below the range of T becomes zero. The profiles are the host's,
// `out` [n_rows, outer_pitch(n_columns)] is on the device, and complete when this returns.
template <class T>
void outer(const double* rows, Index n_rows, const double* columns, Index n_columns, int shift, T* out);

}  // namespace erffast::cuda
