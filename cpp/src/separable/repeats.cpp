// Many equal 1-D layers in one kernel.
//
// Two or three taps have a recurrence (three_taps.cpp). Other kernels are squared: with trimming, sequences grow as the root of the
// number of layers, so the last squaring costs about that number of multiply-adds times a constant, and all before it as much again.
// The first products are taken in double-double arithmetic, for every later squaring doubles their relative error.
#include <algorithm>
#include <cmath>

#include "repeats.hpp"

#include "exact_sequence.hpp"
#include "three_taps.hpp"

namespace erffast {
namespace {

constexpr Index exact_values = 512;  // a product this long takes some 100 us in double-double arithmetic

Sequence squared(const Sequence& kernel, Index count, double trim_share, const Composing& composing, const Products& products) {
  int bits = 0;
  while ((count >> bits) > 1) ++bits;
  const auto tidy = [&](Sequence& s, Index copies) {
    trim(s, trim_share * static_cast<double>(copies) / static_cast<double>(count) / (bits + 1));
    if (composing.keeps_mass) drop_faint(s);
  };
  const ExactSequence base(kernel);
  ExactSequence exact = base;
  Sequence result;
  bool is_exact = kernel.size() <= exact_values;
  if (!is_exact) result = kernel;
  for (int bit = bits - 1; bit >= 0; --bit) {
    const bool odd = (count >> bit) & 1;
    if (is_exact && 2 * exact.size() + kernel.size() > exact_values) {
      result = exact.rounded(count >> (bit + 1));
      is_exact = false;
    }
    if (is_exact) {
      exact = exact.times(exact);
      if (odd) exact = exact.times(base);
    } else {
      result = products.of(result, result);
      if (odd) result = products.of(result, kernel);
      tidy(result, count >> bit);
    }
  }
  if (is_exact) {
    result = exact.rounded(count);
    tidy(result, count);
  }
  return result;
}

}  // namespace

Sequence repeated(const Sequence& kernel, Index count, double trim_share, const Composing& composing, const Products& products) {
  if (!is_three_taps(kernel, count)) return squared(kernel, count, trim_share, composing, products);
  // with no budget everything that a working image can hold: 2**-1922 of the peak, which has no less than 2**-31 of the mass
  int bits = composing.keeps_mass ? 1200 : 1960;
  if (trim_share > 0) bits = std::min(bits, 64 - static_cast<int>(std::floor(std::log2(trim_share))));
  Sequence result = three_taps_power(kernel, count, bits, products);
  trim(result, trim_share);
  return result;
}

}  // namespace erffast
