// x86-64-v4: AVX-512 with its 32 registers. Register tiles of eight rows take vectors of 64 bytes, which 32 bytes reach half of at
// most; rows outside tiles take 32, for nearly every tap loads unaligned there, and a 64-byte load then
// touches two cache lines (3x3 float64, 600 layers: 3.9 GFMA/s against 4.5 with 32 bytes on a Sapphire Rapids core).
#define ERFFAST_TABLE table_x86_64_v4
#define ERFFAST_EXACT exact_x86_64_v4
#define ERFFAST_SPECTRAL spectral_x86_64_v4
#define ERFFAST_BAND band_x86_64_v4
#define ERFFAST_PEAK peak_x86_64_v4
#define ERFFAST_PROFILE profile_x86_64_v4
#define ERFFAST_RANDOM random_x86_64_v4
#define ERFFAST_ISA_NAME "x86-64-v4"
#define ERFFAST_VECTOR_BYTES 32
#define ERFFAST_TILE_BYTES 64
#define ERFFAST_TILE_ACROSS 2
#include "kernels.inl"
