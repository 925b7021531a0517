// Rows of random numbers for x86-64-v3.
#define ERFFAST_RANDOM random_x86_64_v3
#define ERFFAST_VECTOR_BYTES 32
#include "random.inl"
