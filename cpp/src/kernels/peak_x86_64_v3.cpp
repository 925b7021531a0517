// The ceiling of arithmetic for x86-64-v3.
#define ERFFAST_PEAK peak_x86_64_v3
#define ERFFAST_PEAK_BYTES 32
#include "peak.inl"
