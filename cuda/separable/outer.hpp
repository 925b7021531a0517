// Outer products: the images of separable results.
#pragma once

#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast::cuda {

// out[i, j] = (rows[i] * columns[j] * 2**shift) * 2**power, rounded to T before the last factor; what is below the range of T becomes
// zero, before it and after. All on the host; as erffast::outer.
template <class T>
void outer(const double* rows, Index n_rows, const double* columns, Index n_columns, int shift, int power, T* out, Monitor& monitor);

}  // namespace erffast::cuda
