// Double-double loops for baseline.
#define ERFFAST_EXACT exact_baseline
#include "exact.inl"
