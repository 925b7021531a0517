// What this machine can do at best: multiply-adds in registers, and bytes to and from memory. Measured, for benchmarks to
// report times as shares of it.
#pragma once

#include "erffast/step.hpp"

namespace erffast {

// Multiply-adds per second (one multiply and one add count as one), the best pass within `seconds`.
template <class T>
double multiply_add_rate(int threads, double seconds);

// Bytes per second, read and written together, of copying n values; bytes written per second of filling them. The best pass
// within `seconds`, with ordinary or streaming stores, whichever is faster. The caller makes n larger than the caches.
double copy_rate(double* target, const double* source, Index n, int threads, double seconds);
double write_rate(double* target, Index n, int threads, double seconds);

}  // namespace erffast
