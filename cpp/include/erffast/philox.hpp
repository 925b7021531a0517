// Random numbers by counting: a number is a function of its place, so that it is the same for any order, thread or machine.
//
// Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Integers are the same
// everywhere. Normals are made of them by Box and Muller's formula, with a logarithm and a sine of their own in double precision:
// products and sums that nothing contracts, so that they too are the same bits wherever this is compiled without contraction.
//
// This is the definition, one number after the other; rows of them come from cpp/src/kernels/random.inl, bit for bit the same.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "erffast/step.hpp"

namespace erffast {

struct Words {
  std::uint32_t w[4];
};

constexpr Words philox(Words counter, std::uint64_t seed) {
  std::uint32_t low = static_cast<std::uint32_t>(seed), high = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter.w[0], b = std::uint64_t{0xCD9E8D57} * counter.w[2];
    counter = {{static_cast<std::uint32_t>(b >> 32) ^ counter.w[1] ^ low, static_cast<std::uint32_t>(b),
                static_cast<std::uint32_t>(a >> 32) ^ counter.w[3] ^ high, static_cast<std::uint32_t>(a)}};
    low += 0x9E3779B9;
    high += 0xBB67AE85;
  }
  return counter;
}

// What a random number is for. Numbers of different purposes never share a counter.
enum class Purpose : std::uint32_t { weight = 0, input = 1, mask = 2 };

// Where a row of random numbers stands: element e is made of words 2 (e mod 2) and the next of the counter
// (e / 2 low, layer, draw, purpose and e / 2 high).
struct Stream {
  std::uint64_t seed;
  std::uint32_t draw, layer;
  Purpose purpose;

  constexpr Words block(Index pair) const {
    const auto n = static_cast<std::uint64_t>(pair);
    return philox({{static_cast<std::uint32_t>(n), layer, draw, static_cast<std::uint32_t>(purpose) << 24 | static_cast<std::uint32_t>(n >> 32)}}, seed);
  }
};

// (k + 1/2) / 2**52, k made of the first 52 bits of two words: inside (0, 1), exact.
constexpr double uniform_of(std::uint32_t low, std::uint32_t high) {
  const std::uint64_t bits = std::uint64_t{high} << 32 | low;
  return (static_cast<double>(bits >> 12) + 0.5) * 0x1p-52;
}

// Series, from their last term on. Not `inline`: the kernels, which take the same numbers, must have no symbol in common.
constexpr double log_series[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3};
constexpr double cosine_series[] = {-1.0 / 6402373705728000, 1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600,  // 18! ..
                                    -1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24, -0.5, 1};
constexpr double sine_series[] = {-1.0 / 121645100408832000, 1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800,  // 19! ..
                                  -1.0 / 39916800, 1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6};
constexpr std::uint64_t root_half_bits = 0x3FE6A09E667F3BCD;                    // of sqrt(1/2)
constexpr double ln2_high = 0x1.62e42fefa3p-1, ln2_low = 0x1.3de6af278ece6p-42;  // an exponent times the first is exact: it has 41 bits
constexpr double quarter_turn = 0x1.921fb54442d18p+0;

template <int N>
double polynomial(const double (&series)[N], double z) {
  double sum = series[0];
  for (int k = 1; k < N; ++k) sum = sum * z + series[k];
  return sum;
}

// The natural logarithm of a normal number, to 2 ulp: of the mantissa m in [sqrt(1/2), sqrt 2) by 2 atanh((m - 1) / (m + 1)).
inline double log_of(double x) {
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(x) - root_half_bits;
  const double e = static_cast<double>(static_cast<std::int64_t>(bits) >> 52);
  const double m = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFF) + root_half_bits);
  const double s = (m - 1) / (m + 1), z = s * s;
  return e * ln2_high + (e * ln2_low + 2 * (s + s * (z * polynomial(log_series, z))));
}

struct CosineSine {
  double cosine, sine;
};

// Of 2 pi u, u in (0, 1), to 2 ulp: by Taylor's series within an eighth of a turn.
inline CosineSine circle_of(double u) {
  const double quarters = std::floor(4 * u + 0.5);
  const double t = (4 * u - quarters) * quarter_turn;  // the difference is exact
  const double z = t * t, c = polynomial(cosine_series, z), s = t + t * (z * polynomial(sine_series, z));
  switch (static_cast<int>(quarters) & 3) {
    case 0: return {c, s};
    case 1: return {-s, c};
    case 2: return {-c, -s};
    default: return {s, -c};
  }
}

// Elements 2 pair and 2 pair + 1 of a row of standard normals.
struct Pair {
  double first, second;
};

inline Pair normals_of(const Words& words) {
  const double radius = std::sqrt(-2 * log_of(uniform_of(words.w[0], words.w[1])));
  const CosineSine angle = circle_of(uniform_of(words.w[2], words.w[3]));
  return {radius * angle.cosine, radius * angle.sine};
}

inline Pair uniforms_of(const Words& words) {
  return {uniform_of(words.w[0], words.w[1]), uniform_of(words.w[2], words.w[3])};
}

// visit(i, value) for i in [0, n), of elements 2 pair and on, two at a time.
template <class Make, class Visit>
void each_random(const Stream& stream, Index pair, Index n, const Make& make, const Visit& visit) {
  for (Index i = 0; i < n; i += 2, ++pair) {
    const Pair made = make(stream.block(pair));
    visit(i, made.first);
    if (i + 1 < n) visit(i + 1, made.second);
  }
}

}  // namespace erffast
