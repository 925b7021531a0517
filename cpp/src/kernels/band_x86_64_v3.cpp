// Inner loops of the band-limited engine for x86-64-v3.
#define ERFFAST_BAND band_x86_64_v3
#define ERFFAST_VECTOR_BYTES 32
#define ERFFAST_BAND_ROWS 2
#include "band.inl"
