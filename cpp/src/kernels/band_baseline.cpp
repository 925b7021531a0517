// Inner loops of the band-limited engine for baseline.
#define ERFFAST_BAND band_baseline
#define ERFFAST_VECTOR_BYTES 16
#define ERFFAST_BAND_ROWS 2
#include "band.inl"
