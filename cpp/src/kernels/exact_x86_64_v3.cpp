// Double-double loops for x86-64-v3.
#define ERFFAST_EXACT exact_x86_64_v3
#include "exact.inl"
