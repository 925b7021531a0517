// Inner loops of the band-limited engine for x86-64-v2.
#define ERFFAST_BAND band_x86_64_v2
#define ERFFAST_VECTOR_BYTES 16
#define ERFFAST_BAND_ROWS 2
#include "band.inl"
