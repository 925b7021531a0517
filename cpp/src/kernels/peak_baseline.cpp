// The ceiling of arithmetic for baseline.
#define ERFFAST_PEAK peak_baseline
#define ERFFAST_PEAK_BYTES 16
#include "peak.inl"
