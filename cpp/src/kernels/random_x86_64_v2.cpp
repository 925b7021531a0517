// Rows of random numbers for x86-64-v2.
#define ERFFAST_RANDOM random_x86_64_v2
#define ERFFAST_VECTOR_BYTES 16
#include "random.inl"
