// Rows of random numbers for an architecture's baseline.
#define ERFFAST_RANDOM random_baseline
#define ERFFAST_VECTOR_BYTES 16
#include "random.inl"
