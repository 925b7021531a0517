// Double-double loops for x86-64-v2.
#define ERFFAST_EXACT exact_x86_64_v2
#include "exact.inl"
