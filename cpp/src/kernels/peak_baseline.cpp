// The ceiling of arithmetic for an architecture's baseline.
#define ERFFAST_PEAK peak_baseline
#define ERFFAST_PEAK_BYTES 16
#include "peak.inl"
