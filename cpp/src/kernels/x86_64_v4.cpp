// x86-64-v4: AVX-512.
#define ERFFAST_TABLE table_x86_64_v4
#define ERFFAST_ISA_NAME "x86-64-v4"
#define ERFFAST_VECTOR_BYTES 64
#include "kernels.inl"
