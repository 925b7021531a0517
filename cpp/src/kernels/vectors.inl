// Vectors of doubles of the width that the including file asks for, and what the loops of the spectral engines do with them.
#pragma once

#include <cstdint>

#include "erffast/step.hpp"

namespace erffast {
namespace {

constexpr Index lanes = ERFFAST_VECTOR_BYTES / static_cast<Index>(sizeof(double));
typedef double V __attribute__((vector_size(ERFFAST_VECTOR_BYTES), aligned(8), may_alias));
typedef std::int64_t I __attribute__((vector_size(ERFFAST_VECTOR_BYTES), aligned(8), may_alias));

inline V all(double x) { return x - V{}; }
inline V load(const double* p) { return *reinterpret_cast<const V*>(p); }
inline void store(double* p, V v) { *reinterpret_cast<V*>(p) = v; }

// The value as it is, hidden from contraction.
inline V rounded(V v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
  return v;
}

// Brings the larger magnitude of a and b to [1, 2); returns the power of two taken out of both. Zeros stay.
inline I normalise(V& a, V& b) {
  const I magnitude_bits = I{} + 0x7fffffffffffffffLL;
  const V x = (V)((I)a & magnitude_bits), y = (V)((I)b & magnitude_bits);
  I e = (I)(x > y ? x : y) >> 52;
  e = e == 0 ? I{} + 1023 : e;
  const V scale = (V)((2046 - e) << 52);
  a *= scale;
  b *= scale;
  return e - 1023;
}

template <Index... K>
struct Lanes {
  typedef std::int32_t I32 __attribute__((vector_size(lanes * sizeof(std::int32_t)), aligned(4), may_alias));

  static V reversed(V v) { return __builtin_shufflevector(v, v, (lanes - 1 - K)...); }
  static I reversed(I v) { return __builtin_shufflevector(v, v, (lanes - 1 - K)...); }
  // Real and imaginary parts as complex numbers (re, im, re, im ..) in two vectors.
  static V first_half(V re, V im) { return __builtin_shufflevector(re, im, (K % 2 * lanes + K / 2)...); }
  static V second_half(V re, V im) { return __builtin_shufflevector(re, im, (K % 2 * lanes + (K + lanes) / 2)...); }

  // Exchanges the blocks off the diagonal, of Block x Block elements.
  template <Index Block>
  static void exchange(V (&m)[lanes]) {
    for (Index i = 0; i < lanes; ++i) {
      if (i & Block) continue;
      const V a = m[i], b = m[i + Block];
      m[i] = __builtin_shufflevector(a, b, (K & Block ? lanes + K - Block : K)...);
      m[i + Block] = __builtin_shufflevector(a, b, (K & Block ? lanes + K : K + Block)...);
    }
  }
  static void transpose(V (&m)[lanes]) {
    if constexpr (lanes > 1) exchange<1>(m);
    if constexpr (lanes > 2) exchange<2>(m);
    if constexpr (lanes > 4) exchange<4>(m);
  }
};

#if ERFFAST_VECTOR_BYTES == 64
using Order = Lanes<0, 1, 2, 3, 4, 5, 6, 7>;
#elif ERFFAST_VECTOR_BYTES == 32
using Order = Lanes<0, 1, 2, 3>;
#else
using Order = Lanes<0, 1>;
#endif

struct Product {
  V re, im;
};

// p *= re + i im. Both parts are multiplied by `re` last, in place: no register is copied.
inline void times(Product& p, V re, V im) {
  const V r = rounded(p.im * im), i = rounded(p.re * im);
  p.re = p.re * re - r;
  p.im = p.im * re + i;
}

// p *= re - i im
inline void times_conjugate(Product& p, V re, V im) {
  const V r = rounded(p.im * im), i = rounded(p.re * im);
  p.re = p.re * re + r;
  p.im = p.im * re - i;
}

}  // namespace
}  // namespace erffast
