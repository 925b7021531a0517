// Loops in double-double arithmetic, included by one small file per instruction set and compiled with -ffp-contract=off: the
// low parts are differences that a contraction would change. The only fused operations are those written as such, so every
// instruction set gives the same bits (x86-64-v2 calls the C library's fma).
#include "erffast/compiler.hpp"
#include "erffast/double_double.hpp"
#include "erffast/kernels.hpp"

#if defined(__FMA__)
#include <immintrin.h>
#endif

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

// ------------------------------------------------------------------------------------------------ responses of layers

#if defined(__AVX512F__)
constexpr Index lanes = 8;
#elif defined(__AVX2__)
constexpr Index lanes = 4;
#else
constexpr Index lanes = 2;
#endif
typedef double V __attribute__((vector_size(lanes * sizeof(double)), aligned(8), may_alias));
typedef std::int64_t I __attribute__((vector_size(lanes * sizeof(double)), aligned(8), may_alias));

inline V all(double x) { return x - V{}; }
inline V load(const double* p) { return *reinterpret_cast<const V*>(p); }
inline void store(double* p, V v) { *reinterpret_cast<V*>(p) = v; }

// a * b + c, rounded once.
inline V fused(V a, V b, V c) {
#if defined(__AVX512F__)
  return (V)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
  return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  V r;
  for (Index l = 0; l < lanes; ++l) r[l] = __builtin_fma(a[l], b[l], c[l]);
  return r;
#endif
}

// A sum in twice the working precision: roundings of the high parts are gathered in the low one (Ogita, Rump, Oishi 2005).
struct Twofold {
  V hi, lo;
};

inline void add(Twofold& s, V value, V error) {
  const V sum = s.hi + value, t = sum - s.hi;
  s.lo += ((s.hi - (sum - t)) + (value - t)) + error;
  s.hi = sum;
}

inline Twofold settled(const Twofold& s) {
  const V sum = s.hi + s.lo;
  return {sum, s.lo - (sum - s.hi)};
}

// The sum of coefficient times wave, n_terms at least 1. A coefficient and a wave are two parts each.
inline Twofold response(const double* coefficients, const double* waves, Index n_terms, Index n) {
  Twofold s = {V{}, V{}};
  for (Index t = 0; t < n_terms; ++t, coefficients += 2, waves += 2 * n) {
    const V hi = all(coefficients[0]), lo = all(coefficients[1]), wave = load(waves);
    const V p = hi * wave;
    const V error = fused(lo, wave, fused(hi, load(waves + n), fused(hi, wave, -p)));
    add(s, p, error);
  }
  return settled(s);
}

struct Parted {
  Twofold re, im;
};

inline Twofold product_of(const Twofold& a, const Twofold& b) {
  const V p = a.hi * b.hi;
  return {p, fused(a.hi, b.lo, fused(a.lo, b.hi, fused(a.hi, b.hi, -p)))};
}

inline Parted product_of(const Parted& a, const Parted& b) {
  const Twofold rr = product_of(a.re, b.re), ii = product_of(a.im, b.im), ri = product_of(a.re, b.im), ir = product_of(a.im, b.re);
  Parted p = {rr, ri};
  add(p.re, -ii.hi, -ii.lo);
  add(p.im, ir.hi, ir.lo);
  return {settled(p.re), settled(p.im)};
}

inline void normalise(Parted& p, I& exponent) {
  const I magnitude_bits = I{} + 0x7fffffffffffffffLL;
  const V a = (V)((I)p.re.hi & magnitude_bits), b = (V)((I)p.im.hi & magnitude_bits);
  const V largest = a > b ? a : b;
  I e = (I)largest >> 52;
  e = e == 0 ? I{} + 1023 : e;
  const V scale = (V)((2046 - e) << 52);
  p.re.hi *= scale;
  p.re.lo *= scale;
  p.im.hi *= scale;
  p.im.lo *= scale;
  exponent += e - 1023;
}

// Adds sum_t moments[t] wave[t] / z to a position, (re, im).
inline void move(const double* moments, const double* waves, const FoldedLayers& layers, Index n, V inverse_re, V inverse_im, V& re, V& im) {
  V a = V{}, b = V{};
  for (Index t = 0; t < layers.n_cosine; ++t) a += all(moments[t]) * load(waves + 2 * n * t);
  for (Index t = layers.n_cosine; t < layers.n_cosine + layers.n_sine; ++t) b += all(moments[t]) * load(waves + 2 * n * t);
  re += a * inverse_re - b * inverse_im;
  im += a * inverse_im + b * inverse_re;
}

template <bool Moving>
void respond(const FoldedLayers& layers, const double* waves, Index n, const ExactKernels::Numbers& product, Index* exponents,
             double* const* positions) {
  const Index terms = layers.n_cosine + layers.n_sine;
  for (Index x = 0; x < n; x += lanes) {
    Parted p = {{load(product.re_hi + x), load(product.re_lo + x)}, {load(product.im_hi + x), load(product.im_lo + x)}};
    I exponent;
    __builtin_memcpy(&exponent, exponents + x, sizeof(I));  // clang takes a reference for aligned to its size
    V at[4] = {};
    if constexpr (Moving) {
      for (int i = 0; i < 4; ++i) at[i] = load(positions[i] + x);
    }
    const double* here = waves + x;
    const double* coefficients = layers.coefficients;
    const double* moments = layers.moments;
    for (Index k = 0; k < layers.n_layers; ++k, coefficients += 2 * terms) {
      const Parted z = {response(coefficients, here, layers.n_cosine, n),
                        response(coefficients + 2 * layers.n_cosine, here + 2 * n * layers.n_cosine, layers.n_sine, n)};
      if constexpr (Moving) {
        const V size = z.re.hi * z.re.hi + z.im.hi * z.im.hi;
        const V re = z.re.hi / size, im = -z.im.hi / size;
        move(moments, here, layers, n, re, im, at[0], at[1]);
        move(moments + terms, here, layers, n, re, im, at[2], at[3]);
        moments += 2 * terms;
      }
      p = product_of(p, z);
      // a layer gains a few bits, and loses no more than the arithmetic has: far from the range's ends in so many
      if (k % 4 == 3 || k + 1 == layers.n_layers) normalise(p, exponent);
    }
    __builtin_memcpy(exponents + x, &exponent, sizeof(I));
    store(product.re_hi + x, p.re.hi);
    store(product.re_lo + x, p.re.lo);
    store(product.im_hi + x, p.im.hi);
    store(product.im_lo + x, p.im.lo);
    if constexpr (Moving) {
      for (int i = 0; i < 4; ++i) store(positions[i] + x, at[i]);
    }
  }
}

void multiply_layers(const FoldedLayers& layers, const double* waves, Index n, const ExactKernels::Numbers& product, Index* exponents,
                     double* const* positions) {
  (positions == nullptr ? respond<false> : respond<true>)(layers, waves, n, product, exponents, positions);
}

}  // namespace

extern const ExactKernels ERFFAST_EXACT;
const ExactKernels ERFFAST_EXACT = {add_scaled, fir, multiply, multiply_complex, normalise_complex, three_terms, multiply_layers};

}  // namespace erffast
