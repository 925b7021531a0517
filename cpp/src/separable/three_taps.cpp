// Powers of kernels of three taps, by the recurrence of their coefficients.
//
// p(z) = (a + b z + c z^2)^n satisfies q p' = n q' p, that is
//   a (j + 1) p[j + 1] = b (n - j) p[j] + c (2 n - j + 1) p[j - 1].
// For j <= n all terms are positive: an error made on the way is carried along, never amplified, whether values grow or fall. The
// other half is reached from the other end, where the same holds. (Kernels of more taps meet negative terms before their peak.)
// The steps are taken in double-double arithmetic, so that even their errors of a million steps stay below one rounding to double:
// 10 ns a step, which is 40 us for all of 10^4 layers that a double can show.
//
// Nor is it begun at the corner, but far down the tail: the ratio of two neighbours, r[j + 1] = alpha + beta / r[j], forgets its
// beginning. From any bracket of the first ratio the bracket of the later ones is known, and shrinks.
#include "three_taps.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "erffast/double_double.hpp"
#include "erffast/kernels.hpp"

namespace erffast {
namespace {

constexpr Index piece = 16;            // steps between two looks at the scale
constexpr double most_apart = 256;     // ratio of taps: so much, and 2**30 layers, keep 16 steps within the range of doubles
constexpr Index most_layers = Index{1} << 30;
constexpr double settled = 0x1p-108;   // of a ratio: as good as exact

struct Taps {
  double a, b, c;
  Index n;
  Index last() const { return c > 0 ? 2 * n : n; }
  Taps reversed() const { return {c, b, a, n}; }
};

// The largest j with at most 2**-bits of the mass at or before it, by Chernoff's bound: for every z < 1,
// sum over i <= j of p[i] <= q(z)^n / z^j. Or -1. With `back`, the same from the last tap, z > 1: the least j, or last + 1.
Index tail_end(const Taps& taps, int bits, bool back) {
  const double n = static_cast<double>(taps.n), total = std::log(taps.a + taps.b + taps.c);
  const double wanted = bits * std::log(2.0) + 1;
  double where = -1;
  const auto enough = [&](double u) {
    const double log_z = back ? u : -u, z = std::exp(log_z);
    const double q = taps.a + z * (taps.b + z * taps.c);
    const double j = n * z * (taps.b + 2 * z * taps.c) / q;
    const bool holds = n * (total - std::log(q)) + j * log_z >= wanted;
    if (holds) where = j;
    return holds;
  };
  double low = 0, high = 300;
  if (!enough(high)) return back ? taps.last() + 1 : -1;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (enough(middle) ? high : low) = middle;
  }
  return static_cast<Index>(back ? std::ceil(where) : std::floor(where));
}

// From where to begin, and p[j] / p[j - 1] there. 0 is the corner.
struct Start {
  Index j = 0;
  double ratio = 0;
};

// The nearest place before `needed` from which on the ratio has settled there, if that is nearer than the corner.
Start start_before(const Taps& taps, Index needed) {
  const auto alpha = [&](Index j) { return taps.b / taps.a * static_cast<double>(taps.n - j) / static_cast<double>(j + 1); };
  const auto beta = [&](Index j) { return taps.c / taps.a * static_cast<double>(2 * taps.n - j + 1) / static_cast<double>(j + 1); };
  for (Index run = 64; run < needed / 2; run *= 2) {
    Index j = needed - run;
    // of r[j]: any ratio is above its alpha, so the next one is at most alpha + beta / alpha
    double low = alpha(j - 1), high = low + beta(j - 1) / alpha(j - 2);
    const double ratio = std::sqrt(low * high);
    double gap = std::log(high / low);
    for (; j < needed && gap > settled; ++j) {
      const double next_high = alpha(j) + beta(j) / low;
      gap *= 1 - alpha(j) / next_high;  // d log r' / d log r = -(beta / r) / (alpha + beta / r), most for the least r
      low = alpha(j) + beta(j) / high;
      high = next_high;
    }
    if (gap <= settled) return {needed - run, ratio};
  }
  return {};
}

// p[first], p[first + 1], ... as (hi + lo) * 2**exponent, up to a common factor.
struct Side {
  Index first = 0;
  std::vector<double> hi, lo;
  std::vector<Index> exponents;

  Index past() const { return first + static_cast<Index>(hi.size()); }
  std::size_t at(Index j) const { return static_cast<std::size_t>(j - first); }

  // Where the values at i have left the middle of the range: these and the ones before, from which the next are made.
  void bring_to_one(std::size_t i) {
    int e;
    std::frexp(hi[i], &e);
    if (std::abs(e) < 300) return;
    for (std::size_t k = i - 1; k <= i; ++k) {
      hi[k] = std::ldexp(hi[k], -e);
      lo[k] = std::ldexp(lo[k], -e);
      exponents[k] += e;
    }
  }

  void begin_at(Index j) {
    const auto n = static_cast<std::ptrdiff_t>(at(j));
    hi.erase(hi.begin(), hi.begin() + n);
    lo.erase(lo.begin(), lo.begin() + n);
    exponents.erase(exponents.begin(), exponents.begin() + n);
    first = j;
  }

  // The exponent of the largest value.
  Index top() const {
    Index best = std::numeric_limits<Index>::min();
    for (std::size_t i = 0; i < hi.size(); ++i) {
      int e;
      std::frexp(hi[i], &e);
      best = std::max(best, exponents[i] + e);
    }
    return best;
  }

  // The sum of the first n values over 2**power.
  DoubleDouble sum(std::size_t n, Index power) const {
    DoubleDouble total{0, 0};
    for (std::size_t i = 0; i < n; ++i) {
      const int e = static_cast<int>(std::max<Index>(exponents[i] - power, -2500));
      total = total + DoubleDouble{std::ldexp(hi[i], e), std::ldexp(lo[i], e)};
    }
    return total;
  }

  // target[i * step] = value i * factor * 2**power, of the first n values.
  void write(std::size_t n, double factor, Index power, double* target, Index step) const {
    for (std::size_t i = 0; i < n; ++i) {
      const Index e = std::max<Index>(exponents[i] + power, -2500);
      // in two steps: one power of two may be out of range where the product is not
      const double first_half = std::ldexp(1.0, static_cast<int>(e / 2)), second_half = std::ldexp(1.0, static_cast<int>(e - e / 2));
      target[static_cast<Index>(i) * step] = hi[i] * factor * first_half * second_half;
    }
  }
};

// All from where the tail holds no more than 2**-bits of the mass up to `last`, which is at most n.
Side climb(const Taps& taps, int bits, Index last, const Products& memory) {
  const Index needed = std::clamp<Index>(tail_end(taps, bits, false) + 1, 0, last);
  const Start start = start_before(taps, needed);
  Side side;
  side.first = start.j > 0 ? start.j - 1 : 0;
  const std::size_t size = static_cast<std::size_t>(std::max<Index>(last - side.first + 1, 2));
  memory.require(static_cast<Index>(size));
  side.hi.resize(size);
  side.lo.resize(size);
  side.exponents.assign(size, 0);
  const DoubleDouble first = quotient(taps.b, taps.a), second = quotient(taps.c, taps.a);
  const ExactKernels::ThreeTerms terms{{first.hi, first.lo}, {second.hi, second.lo}, taps.n};
  const DoubleDouble next = start.j > 0 ? DoubleDouble{start.ratio, 0} : static_cast<double>(taps.n) * first;
  side.hi[0] = 1;
  side.hi[1] = next.hi;
  side.lo[1] = next.lo;
  for (Index j = side.first + 1; j < last; j += piece) {
    const Index steps = std::min(piece, last - j);
    const std::size_t i = side.at(j);
    side.bring_to_one(i);
    std::fill_n(side.exponents.begin() + static_cast<std::ptrdiff_t>(i + 1), steps, side.exponents[i]);
    kernel_table().exact->three_terms(side.hi.data() + i + 1, side.lo.data() + i + 1, terms, j, steps);
  }
  side.begin_at(needed);
  return side;
}

// mantissa * 2**exponent
struct Scaled {
  DoubleDouble mantissa;
  Index exponent;
};

Scaled normalised(DoubleDouble value, Index exponent) {
  int e;
  std::frexp(value.hi, &e);
  return {{std::ldexp(value.hi, -e), std::ldexp(value.lo, -e)}, exponent + e};
}

DoubleDouble divided(DoubleDouble a, DoubleDouble b) {
  const double q = a.hi / b.hi;
  const DoubleDouble rest = a + (-q) * b;
  return quick_two_sum(q, rest.hi / b.hi);
}

Scaled power_of(DoubleDouble base, Index count) {
  Scaled result = {{1, 0}, 0}, square = normalised(base, 0);
  for (; count > 0; count >>= 1) {
    if (count & 1) result = normalised(result.mantissa * square.mantissa, result.exponent + square.exponent);
    square = normalised(square.mantissa * square.mantissa, 2 * square.exponent);
  }
  return result;
}

// Both sides of the power, and what to multiply the right one by.
struct Sides {
  Side left;   // up to n, or to where the power ends
  Side right;  // of the reversed kernel, down to n + 1; empty where it is the mirror image of the left one, or beyond the end
  bool mirrored = false;
  Scaled link = {{1, 0}, 0};
};

Sides both_sides(const Taps& taps, int bits, const Products& memory) {
  Sides sides;
  const Index end = std::min(tail_end(taps, bits, true), taps.last());
  sides.left = climb(taps, bits, std::min(end, taps.n), memory);
  sides.mirrored = end > taps.n && taps.a == taps.c;
  if (end <= taps.n || sides.mirrored) return sides;
  sides.right = climb(taps.reversed(), bits, taps.n, memory);
  const auto last = [](const Side& s) { return normalised({s.hi.back(), s.lo.back()}, s.exponents.back()); };
  const Scaled l = last(sides.left), r = last(sides.right);
  sides.link = normalised(divided(l.mantissa, r.mantissa), l.exponent - r.exponent);
  for (auto* parts : {&sides.right.hi, &sides.right.lo}) parts->pop_back();
  sides.right.exponents.pop_back();
  return sides;
}

}  // namespace

bool is_three_taps(const Sequence& kernel, Index count) {
  if (kernel.size() < 2 || kernel.size() > 3 || count > most_layers) return false;
  const auto [least, most] = std::minmax_element(kernel.values.begin(), kernel.values.end());
  return *least > 0 && *least * most_apart >= *most;
}

Sequence three_taps_power(const Sequence& kernel, Index count, int bits, const Products& memory) {
  std::vector<double> v(kernel.values);
  const int e = binary_exponent(*std::max_element(v.begin(), v.end()));
  times_power(v, -e);
  const double c = kernel.size() == 3 ? v[2] : 0.0;
  const bool turned = c > v[0];  // then the peak comes after n, and the reversed kernel's before
  const Taps taps = turned ? Taps{c, v[1], v[0], count} : Taps{v[0], v[1], c, count};
  const Sides sides = both_sides(taps, bits, memory);
  const std::size_t n_left = sides.left.hi.size(), n_right = sides.mirrored ? n_left - 1 : sides.right.hi.size();

  // the scale: all values together are (a + b + c)^n
  const Index power = sides.left.top();
  const DoubleDouble rest = sides.mirrored ? sides.left.sum(n_right, power) : sides.link.mantissa * sides.right.sum(n_right, power - sides.link.exponent);
  const Scaled mass = power_of(DoubleDouble{taps.a, 0} + DoubleDouble{taps.b, 0} + DoubleDouble{taps.c, 0}, count);
  const DoubleDouble factor = divided(mass.mantissa, sides.left.sum(n_left, power) + rest);

  Sequence out;
  out.values.resize(n_left + n_right);
  double* first = out.data();
  double* last = first + out.size() - 1;
  const Index scale = peak_exponent<double> - power;
  sides.left.write(n_left, factor.hi, scale, turned ? last : first, turned ? -1 : 1);
  const Side& right = sides.mirrored ? sides.left : sides.right;
  right.write(n_right, (factor * sides.link.mantissa).hi, scale + sides.link.exponent, turned ? first : last, turned ? 1 : -1);
  out.exponent = mass.exponent - peak_exponent<double> + count * (kernel.exponent + e);
  const Index low = sides.left.first, high = sides.mirrored ? taps.last() - low : n_right > 0 ? taps.last() - sides.right.first : sides.left.past() - 1;
  out.origin = count * kernel.origin + (turned ? taps.last() - high : low);
  out.trimmed = static_cast<double>(count) * kernel.trimmed + std::ldexp(2.0, -bits);
  out.rounding = static_cast<double>(count) * kernel.rounding + 4 * 0x1p-53;  // hi, the factor, their product; and all steps together
  rescale(out);
  return out;
}

}  // namespace erffast
