// Loops in double-double arithmetic, included by one small file per instruction set and compiled with -ffp-contract=off: the
// low parts are differences that a contraction would change. The only fused operations are those written as such, so every
// instruction set gives the same bits (the baseline calls the C library's fma).
#include "erffast/double_double.hpp"
#include "erffast/kernels.hpp"

namespace erffast {
namespace {

void add_scaled(double* hi, double* lo, const double* source_hi, const double* source_lo, double weight, Index n) {
#pragma GCC ivdep
  for (Index x = 0; x < n; ++x) {
    const DoubleDouble sum = multiply_add(DoubleDouble{hi[x], lo[x]}, weight, DoubleDouble{source_hi[x], source_lo[x]});
    hi[x] = sum.hi;
    lo[x] = sum.lo;
  }
}

}  // namespace

extern const ExactKernels ERFFAST_EXACT;
const ExactKernels ERFFAST_EXACT = {add_scaled};

}  // namespace erffast
