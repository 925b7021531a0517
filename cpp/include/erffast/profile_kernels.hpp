// Inner loops of 1-D sums (cpp/src/kernels/profile.inl).
#pragma once

#include "erffast/step.hpp"

namespace erffast {

struct ProfileKernels {
  // out[x] = sum over t of taps[t] * source[x - t], x in [0, outputs_at_once), t in [0, n_taps). n_taps is a multiple of taps_at_once.
  // Reads source[-n_taps, outputs_at_once). A sum is taken in chunks of chunk_taps, each from zero and in a fixed order, and the
  // chunks are added up; the same bits wherever there is fused multiply-add.
  void (*convolve)(double* out, const double* source, const double* taps, Index n_taps);
};

inline constexpr Index outputs_at_once = 128;
inline constexpr Index taps_at_once = 32;
inline constexpr Index chunk_taps = 64;

}  // namespace erffast
