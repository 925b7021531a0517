// The ceiling of arithmetic for x86-64-v4.
#define ERFFAST_PEAK peak_x86_64_v4
#define ERFFAST_PEAK_BYTES 64
#include "peak.inl"
