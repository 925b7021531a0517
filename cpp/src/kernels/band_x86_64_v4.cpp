// Inner loops of the band-limited engine for x86-64-v4.
#define ERFFAST_BAND band_x86_64_v4
#define ERFFAST_VECTOR_BYTES 64
#define ERFFAST_BAND_ROWS 6
#include "band.inl"
