// Loops in double-double arithmetic, included by one small file per instruction set and compiled with -ffp-contract=off: the
// low parts are differences that a contraction would change. The only fused operations are those written as such, so every
// instruction set gives the same bits (x86-64-v2 calls the C library's fma).
#include "erffast/compiler.hpp"
#include "erffast/double_double.hpp"
#include "erffast/kernels.hpp"

namespace erffast {
namespace {

void add_scaled(double* hi, double* lo, const double* source_hi, const double* source_lo, double weight, Index n) {
  ERFFAST_INDEPENDENT
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
  ERFFAST_INDEPENDENT
  for (Index x = 0; x < n; ++x) {
    const DoubleDouble factor = {factor_hi[x], factor_lo == nullptr ? 0.0 : factor_lo[x]};
    const DoubleDouble product = DoubleDouble{hi[x], lo[x]} * factor;
    hi[x] = product.hi;
    lo[x] = product.lo;
  }
}

void multiply_complex(const ExactKernels::Numbers& a, const ExactKernels::Numbers& b, Index n) {
  ERFFAST_INDEPENDENT
  for (Index x = 0; x < n; ++x) {
    const DoubleDouble ar{a.re_hi[x], a.re_lo[x]}, ai{a.im_hi[x], a.im_lo[x]};
    const DoubleDouble br{b.re_hi[x], b.re_lo[x]}, bi{b.im_hi[x], b.im_lo[x]};
    const DoubleDouble re = ar * br - ai * bi, im = ar * bi + ai * br;
    a.re_hi[x] = re.hi;
    a.re_lo[x] = re.lo;
    a.im_hi[x] = im.hi;
    a.im_lo[x] = im.lo;
  }
}

void normalise_complex(const ExactKernels::Numbers& a, Index* exponents, Index n) {
  ERFFAST_INDEPENDENT
  for (Index x = 0; x < n; ++x) {
    const double re = __builtin_fabs(a.re_hi[x]), im = __builtin_fabs(a.im_hi[x]);
    const std::int64_t biased = __builtin_bit_cast(std::int64_t, re > im ? re : im) >> 52;
    const std::int64_t e = biased == 0 ? 1023 : biased;
    const double scale = __builtin_bit_cast(double, (2046 - e) << 52);
    a.re_hi[x] *= scale;
    a.re_lo[x] *= scale;
    a.im_hi[x] *= scale;
    a.im_lo[x] *= scale;
    exponents[x] += e - 1023;
  }
}

}  // namespace

extern const ExactKernels ERFFAST_EXACT;
const ExactKernels ERFFAST_EXACT = {add_scaled, fir, multiply, multiply_complex, normalise_complex};

}  // namespace erffast
