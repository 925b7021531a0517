// Rows of random numbers, included by one small file per instruction set, which says how wide vectors are. Compiled with
// -ffp-contract=off: every operation is that of philox.hpp, one pair of elements a lane, so every instruction set gives its bits.
// What branches there is done here by adding numbers that are exact: see each place.
#include "erffast/random_kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "vectors.inl"

namespace erffast {
namespace {

typedef std::uint64_t U __attribute__((vector_size(ERFFAST_VECTOR_BYTES), aligned(8), may_alias));

inline U every(std::uint64_t x) { return x - U{}; }

// Of the lower halves of the lanes.
inline U product(U a, U b) {
#if defined(__x86_64__) && ERFFAST_VECTOR_BYTES == 64
  return (U)_mm512_maskz_mul_epu32(0xFF, (__m512i)a, (__m512i)b);  // of all lanes: g++ 12 calls what the plain one passes on uninitialised
#elif defined(__x86_64__) && ERFFAST_VECTOR_BYTES == 32
  return (U)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
  return (U)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & every(0xFFFFFFFF)) * (b & every(0xFFFFFFFF));
#endif
}

inline V root(V v) {
#if defined(__x86_64__) && ERFFAST_VECTOR_BYTES == 64
  return (V)_mm512_maskz_sqrt_pd(0xFF, (__m512d)v);
#elif defined(__x86_64__) && ERFFAST_VECTOR_BYTES == 32
  return (V)_mm256_sqrt_pd((__m256d)v);
#elif defined(__x86_64__)
  return (V)_mm_sqrt_pd((__m128d)v);
#else
  for (Index l = 0; l < lanes; ++l) v[l] = __builtin_sqrt(v[l]);
  return v;
#endif
}

// The two 64-bit words of a block of Philox.
struct Block {
  U first, second;
};

// Blocks `pair` to `pair + lanes`. What stands in the upper halves of a lane meanwhile is never multiplied and never kept.
inline Block block_of(const Stream& stream, Index pair) {
  U n = every(static_cast<std::uint64_t>(pair));
  for (Index l = 0; l < lanes; ++l) n[l] += static_cast<std::uint64_t>(l);
  U c0 = n, c1 = every(stream.layer), c2 = every(stream.draw), c3 = every(static_cast<std::uint64_t>(stream.purpose) << 24) | n >> 32;
  std::uint32_t low = static_cast<std::uint32_t>(stream.seed), high = static_cast<std::uint32_t>(stream.seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const U a = product(c0, every(0xD2511F53)), b = product(c2, every(0xCD9E8D57));
    c0 = b >> 32 ^ c1 ^ every(low);
    c1 = b;
    c2 = a >> 32 ^ c3 ^ every(high);
    c3 = a;
    low += 0x9E3779B9;
    high += 0xBB67AE85;
  }
  return {(c0 & every(0xFFFFFFFF)) | c1 << 32, (c2 & every(0xFFFFFFFF)) | c3 << 32};
}

// (k + 1/2) / 2**52: k as the mantissa of a number in [1, 2), from which 1 is taken.
inline V uniform_of(U bits) { return (V)(bits >> 12 | every(0x3FF0000000000000)) - 1.0 + 0x1p-53; }

template <int N>
inline V polynomial(const double (&series)[N], V z) {
  V sum = all(series[0]);
#pragma GCC unroll 10
  for (int k = 1; k < N; ++k) sum = sum * z + series[k];
  return sum;
}

inline V log_of(V x) {
  // the exponent, from -53 to 0, as the mantissa of 2**52 with 1024 added; both are taken off again
  const U bits = (U)x - every(root_half_bits) + every(std::uint64_t{1024} << 52);
  const V e = (V)(bits >> 52 | every(0x4330000000000000)) - (0x1p52 + 1024);
  const V m = (V)((bits & every(0x000FFFFFFFFFFFFF)) + every(root_half_bits));
  const V s = (m - 1.0) / (m + 1.0), z = s * s;
  return e * ln2_high + (e * ln2_low + 2.0 * (s + s * (z * polynomial(log_series, z))));
}

// cosine and sine of 2 pi u
inline void circle_of(V u, V& cosine, V& sine) {
  constexpr double whole = 0x1.8p52;  // sums with it are rounded to whole numbers, which their last bits are. 4 u is no half.
  const V sum = 4.0 * u + whole;
  const V t = (4.0 * u - (sum - whole)) * quarter_turn;
  const V z = t * t, c = polynomial(cosine_series, z), s = t + t * (z * polynomial(sine_series, z));
  const U quarters = (U)sum;
  const I odd = (I)(quarters & every(1)) != 0;
  // negative: cosines of quarters 1 and 2, sines of 2 and 3
  cosine = (V)((U)(odd ? s : c) ^ ((quarters + every(1)) & every(2)) << 62);
  sine = (V)((U)(odd ? c : s) ^ (quarters & every(2)) << 62);
}

// make(block, first, second) for all pairs. The counters of several vectors are scrambled ahead: each takes ten products one after
// the other, which then overlap.
template <class Make>
inline void fill_row(double* out, const Stream& stream, Index pair, Index n, const Make& make) {
  constexpr Index ahead = 8;
  Block blocks[ahead];
  double last[2 * lanes];
  for (Index i = 0; i < n;) {
    const Index left = (n - i + 2 * lanes - 1) / (2 * lanes), count = left < ahead ? left : ahead;
    for (Index k = 0; k < count; ++k, pair += lanes) blocks[k] = block_of(stream, pair);
    for (Index k = 0; k < count; ++k, i += 2 * lanes) {
      V first, second;
      make(blocks[k], first, second);
      double* to = i + 2 * lanes <= n ? out + i : last;
      store(to, Order::first_half(first, second));
      store(to + lanes, Order::second_half(first, second));
    }
    if (i > n) __builtin_memcpy(out + i - 2 * lanes, last, static_cast<std::size_t>(n - i + 2 * lanes) * sizeof(double));
  }
}

void normals(double* out, const Stream& stream, Index pair, Index n) {
  fill_row(out, stream, pair, n, [](const Block& block, V& first, V& second) {
    const V radius = root(-2.0 * log_of(uniform_of(block.first)));
    circle_of(uniform_of(block.second), first, second);
    first *= radius;
    second *= radius;
  });
}

void uniforms(double* out, const Stream& stream, Index pair, Index n) {
  fill_row(out, stream, pair, n, [](const Block& block, V& first, V& second) {
    first = uniform_of(block.first);
    second = uniform_of(block.second);
  });
}

}  // namespace

extern const RandomKernels ERFFAST_RANDOM;
const RandomKernels ERFFAST_RANDOM = {normals, uniforms};

}  // namespace erffast
