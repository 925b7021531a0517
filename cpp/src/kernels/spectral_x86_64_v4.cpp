// Inner loops of the spectral product for x86-64-v4.
#define ERFFAST_SPECTRAL spectral_x86_64_v4
#define ERFFAST_VECTOR_BYTES 64
#include "spectral.inl"
