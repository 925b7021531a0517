// Vectors of doubles of the width that the including file asks for, and what the loops of the spectral engine do with them.
#pragma once

#include <cstdint>

#include "erffast/step.hpp"

namespace erffast {
namespace {

constexpr Index lanes = ERFFAST_SPECTRAL_BYTES / static_cast<Index>(sizeof(double));
typedef double V __attribute__((vector_size(ERFFAST_SPECTRAL_BYTES), aligned(8), may_alias));
typedef std::int64_t I __attribute__((vector_size(ERFFAST_SPECTRAL_BYTES), aligned(8), may_alias));

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

struct Product {
  V re, im;
};

// p *= re + i im
inline void times(Product& p, V re, V im) {
  V r = rounded(p.im * im);
  r = p.re * re - r;
  V i = rounded(p.im * re);
  i += p.re * im;
  p = {r, i};
}

}  // namespace
}  // namespace erffast
