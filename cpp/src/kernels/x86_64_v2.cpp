// x86-64-v2: SSE4.2, what NumPy's own wheels ask for. No fused multiply-add.
#define ERFFAST_TABLE table_x86_64_v2
#define ERFFAST_EXACT exact_x86_64_v2
#define ERFFAST_SPECTRAL spectral_x86_64_v2
#define ERFFAST_BAND band_x86_64_v2
#define ERFFAST_PEAK peak_x86_64_v2
#define ERFFAST_PROFILE profile_x86_64_v2
#define ERFFAST_RANDOM random_x86_64_v2
#define ERFFAST_ISA_NAME "x86-64-v2"
#define ERFFAST_VECTOR_BYTES 16
#define ERFFAST_TILE_BYTES 16
#define ERFFAST_TILE_ACROSS 1
#include "kernels.inl"
