// Double-double loops for x86-64-v4.
#define ERFFAST_EXACT exact_x86_64_v4
#include "exact.inl"
