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

// Pixels by the piece, so that the sums stay in the first-level cache over all taps. Sums in registers gain nothing here: one
// multiply-add takes 14 operations, and its six loads and stores fit between them.
void fir(double* out, Index low, const Tap<double>* taps, Index n_taps, Index source_low, Index n) {
  constexpr Index piece = 256, lanes = 8;
  for (Index x = 0; x < n; x += piece) {
    const Index left = n - x < piece ? n - x : piece;
    const Index width = (left + lanes - 1) / lanes * lanes;  // whole vectors: the last may overrun into the zero margin
    double* hi = out + x;
    double* lo = hi + low;
    for (Index i = 0; i < width; ++i) hi[i] = lo[i] = 0;
    for (Index t = 0; t < n_taps; ++t) add_scaled(hi, lo, taps[t].source + x, taps[t].source + x + source_low, taps[t].weight, width);
  }
}

void multiply(double* hi, double* lo, const double* factor_hi, const double* factor_lo, Index n) {
#pragma GCC ivdep
  for (Index x = 0; x < n; ++x) {
    const DoubleDouble factor = {factor_hi[x], factor_lo == nullptr ? 0.0 : factor_lo[x]};
    const DoubleDouble product = DoubleDouble{hi[x], lo[x]} * factor;
    hi[x] = product.hi;
    lo[x] = product.lo;
  }
}

}  // namespace

extern const ExactKernels ERFFAST_EXACT;
const ExactKernels ERFFAST_EXACT = {add_scaled, fir, multiply};

}  // namespace erffast
