// Outer products: the images of separable results.
#pragma once

#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast::cuda {

// out[i, j] = (rows[i] * columns[j] * 2**shift) * 2**power, rounded to T before the last factor; what is below the range of T becomes
// zero, before it and after. All on the host; as erffast::outer.
template <class T>
void outer(const double* rows, Index n_rows, const double* columns, Index n_columns, int shift, int power, T* out, Monitor& monitor);

// Elements from one row of an image to the next, so that each begins at 16 bytes.
template <class T>
constexpr Index outer_pitch(Index n_columns) {
  constexpr Index line = 16 / static_cast<Index>(sizeof(T));
  return (n_columns + line - 1) / line * line;
}

// The same with power 0 into memory of the device, [n_rows, outer_pitch(n_columns)]; complete when it returns.
template <class T>
void outer_on_device(const double* rows, Index n_rows, const double* columns, Index n_columns, int shift, T* out);

}  // namespace erffast::cuda
