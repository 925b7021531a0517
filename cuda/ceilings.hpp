// What this GPU does at best, for benchmarks to stand beside. Device events measure; each takes about `seconds`.
#pragma once

#include "erffast/step.hpp"

namespace erffast::cuda {

// Multiply-adds a second, in registers.
template <class T>
double multiply_add_rate(double seconds);

// Bytes a second in device memory: read and written together, and written.
double copy_rate(Index bytes, double seconds);
double write_rate(Index bytes, double seconds);

}  // namespace erffast::cuda
