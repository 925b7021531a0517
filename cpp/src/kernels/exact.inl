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

// The ratios come ahead of the chain of sums, many at a time: a division takes as long as the rest of a step.
void three_terms(double* hi, double* lo, const ExactKernels::ThreeTerms& terms, Index start, Index steps) {
  constexpr Index piece = 16;
  const DoubleDouble first{terms.first[0], terms.first[1]}, second{terms.second[0], terms.second[1]};
  double alpha[2][piece], beta[2][piece];
  for (Index done = 0; done < steps; done += piece) {
    const Index count = steps - done < piece ? steps - done : piece;
    ERFFAST_INDEPENDENT
    for (Index i = 0; i < piece; ++i) {
      const double j = static_cast<double>(start + done + i), n = static_cast<double>(terms.n);
      const DoubleDouble a = first * quotient(n - j, j + 1), b = second * quotient(2 * n - j + 1, j + 1);
      alpha[0][i] = a.hi;
      alpha[1][i] = a.lo;
      beta[0][i] = b.hi;
      beta[1][i] = b.lo;
    }
    for (Index i = 0; i < count; ++i) {
      double* h = hi + done + i;
      double* l = lo + done + i;
      const DoubleDouble x = two_product(alpha[0][i], h[-1]), y = two_product(beta[0][i], h[-2]);
      const double low = (x.lo + __builtin_fma(alpha[0][i], l[-1], alpha[1][i] * h[-1])) + (y.lo + __builtin_fma(beta[0][i], l[-2], beta[1][i] * h[-2]));
      const DoubleDouble sum = two_sum(x.hi, y.hi);
      const DoubleDouble p = quick_two_sum(sum.hi, sum.lo + low);
      *h = p.hi;
      *l = p.lo;
    }
  }
}

}  // namespace

extern const ExactKernels ERFFAST_EXACT;
const ExactKernels ERFFAST_EXACT = {add_scaled, fir, multiply, multiply_complex, normalise_complex, three_terms};

}  // namespace erffast
