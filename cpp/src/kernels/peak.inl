// Multiply-adds that never leave the registers, included by one small file per instruction set with its widest vectors: the
// ceiling of arithmetic. Twelve independent sums hide the latency of two units, and fit sixteen registers with the operands.
#include "erffast/kernels.hpp"

namespace erffast {
namespace {

constexpr Index sums = 12;

template <class T>
constexpr Index per_round = sums * ERFFAST_PEAK_BYTES / static_cast<Index>(sizeof(T));

template <class T>
T multiply_adds(Index rounds) {
  typedef T V __attribute__((vector_size(ERFFAST_PEAK_BYTES)));
  const V factor = T(0.999) - V{}, term = T(0.001) - V{};  // the sums stay near 1: no denormals, no infinities
  V acc[sums];
  for (Index i = 0; i < sums; ++i) acc[i] = static_cast<T>(i) - V{};
  for (Index round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (Index i = 0; i < sums; ++i) acc[i] = acc[i] * factor + term;
  }
  T total = 0;
  for (Index i = 0; i < sums; ++i) total += acc[i][0];
  return total;
}

}  // namespace

extern const PeakKernels ERFFAST_PEAK;
const PeakKernels ERFFAST_PEAK = {{multiply_adds<float>, per_round<float>}, {multiply_adds<double>, per_round<double>}};

}  // namespace erffast
