// The ceiling of arithmetic for x86-64-v2.
#define ERFFAST_PEAK peak_x86_64_v2
#define ERFFAST_PEAK_BYTES 16
#include "peak.inl"
