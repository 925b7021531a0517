// Inner loops of the spectral product for an architecture's baseline.
#define ERFFAST_SPECTRAL spectral_baseline
#define ERFFAST_VECTOR_BYTES 16
#include "spectral.inl"
