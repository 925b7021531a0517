// Inner loops of the spectral product for x86-64-v2.
#define ERFFAST_SPECTRAL spectral_x86_64_v2
#define ERFFAST_VECTOR_BYTES 16
#include "spectral.inl"
