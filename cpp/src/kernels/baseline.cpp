// The baseline of the architecture: x86-64 (SSE2) or arm64 (NEON).
#define ERFFAST_TABLE table_baseline
#define ERFFAST_EXACT exact_baseline
#define ERFFAST_SPECTRAL spectral_baseline
#define ERFFAST_PEAK peak_baseline
#define ERFFAST_ISA_NAME "baseline"
#define ERFFAST_VECTOR_BYTES 16
#include "kernels.inl"
