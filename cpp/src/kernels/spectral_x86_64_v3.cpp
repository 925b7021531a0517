// Inner loops of the spectral product for x86-64-v3.
#define ERFFAST_SPECTRAL spectral_x86_64_v3
#define ERFFAST_VECTOR_BYTES 32
#include "spectral.inl"
