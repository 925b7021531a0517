// What every machine of an architecture other than x86-64 has: NEON with fused multiply-add on arm64.
#define ERFFAST_TABLE table_baseline
#define ERFFAST_EXACT exact_baseline
#define ERFFAST_SPECTRAL spectral_baseline
#define ERFFAST_BAND band_baseline
#define ERFFAST_PEAK peak_baseline
#define ERFFAST_PROFILE profile_baseline
#define ERFFAST_RANDOM random_baseline
#ifdef __aarch64__
#define ERFFAST_ISA_NAME "arm64"
#else
#define ERFFAST_ISA_NAME "baseline"
#endif
#define ERFFAST_VECTOR_BYTES 16
#define ERFFAST_TILE_BYTES 16
#ifdef __aarch64__
#define ERFFAST_TILE_ACROSS 2  // 32 registers
#else
#define ERFFAST_TILE_ACROSS 1
#endif
#include "kernels.inl"
