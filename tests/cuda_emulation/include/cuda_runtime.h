// What kernels and their host code see of CUDA, for a C++20 compiler without CUDA. It stands before the real header in the search
// path. What is not declared here is not emulated, and does not compile.
#pragma once

#if defined(__CUDACC__)
#error "this is the emulation for compilers without CUDA: nvcc must find its own cuda_runtime.h"
#endif
#define ERFFAST_CUDA_EMULATION

#include "cuda_emulation/language.h"
// The order matters: each builds on what stands above.
#include "cuda_emulation/block.h"
#include "cuda_emulation/arithmetic.h"
#include "cuda_emulation/runtime.h"
#include "cuda_emulation/launch.h"
