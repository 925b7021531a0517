// Inner loops of 1-D sums, included by one small file per instruction set. Compiled with -ffp-contract=fast: every statement has
// one contraction at most, so every instruction set with fused multiply-add gives the same bits.
#include "erffast/profile_kernels.hpp"

namespace erffast {
namespace {

typedef double Lanes __attribute__((vector_size(ERFFAST_PROFILE_BYTES), aligned(8), may_alias));
constexpr int lanes = ERFFAST_PROFILE_BYTES / 8;

// A tile of outputs stays in registers and takes four taps, eight pixels apart, at a time: a vector of the source then serves the
// four sums that meet it, and 19 loads feed 64 multiply-adds. (Nearly all loads are unaligned; one for each multiply-add, as a
// loop over taps needs, allows a third of the peak.) 16 vectors of 64 bytes reach 40 of 47 G/s on a Sapphire Rapids core, 8 reach
// 36, 24 reach 38; with the 16 registers of narrower sets 8 fit. The order of the taps does not know how many lanes there are.
constexpr int tile = lanes == 8 ? 16 : 8, together = 4, apart = 8;
constexpr int shift = apart / lanes;  // vectors between two of the four taps

inline void add_block(Lanes (&sums)[tile], const double* source, const double* taps) {
  for (int r = 0; r < apart; ++r) {
    Lanes weights[together];
#pragma GCC unroll 4
    for (int j = 0; j < together; ++j) weights[j] = taps[apart * j + r] - Lanes{};
#pragma GCC unroll 64
    for (int q = -shift * (together - 1); q < tile; ++q) {
      const Lanes values = *reinterpret_cast<const Lanes*>(source + q * lanes - r);
#pragma GCC unroll 4
      for (int j = 0; j < together; ++j) {
        const int v = q + shift * j;
        if (v >= 0 && v < tile) sums[v] += weights[j] * values;
      }
    }
  }
}

void convolve(double* out, const double* source, const double* taps, Index n_taps) {
  for (int part = 0; part < static_cast<int>(outputs_at_once) / (tile * lanes); ++part) {
    double* target = out + part * tile * lanes;
    for (Index t = 0; t < n_taps; t += chunk_taps) {
      Lanes sums[tile] = {};
      for (Index b = t; b < n_taps && b < t + chunk_taps; b += taps_at_once) add_block(sums, source + part * tile * lanes - b, taps + b);
      for (int v = 0; v < tile; ++v) {
        Lanes& sum = *reinterpret_cast<Lanes*>(target + v * lanes);
        sum = t == 0 ? sums[v] : sum + sums[v];
      }
    }
  }
}

}  // namespace

extern const ProfileKernels ERFFAST_PROFILE;
const ProfileKernels ERFFAST_PROFILE = {convolve};

}  // namespace erffast
