// Double-double loops for an architecture's baseline.
#define ERFFAST_EXACT exact_baseline
#include "exact.inl"
