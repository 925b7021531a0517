// Rows of random numbers for x86-64-v4.
#define ERFFAST_RANDOM random_x86_64_v4
#define ERFFAST_VECTOR_BYTES 64
#include "random.inl"
