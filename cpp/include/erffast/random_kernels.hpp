// Rows of random numbers (cpp/src/kernels/random.inl): those that philox.hpp defines, bit for bit.
#pragma once

#include "erffast/philox.hpp"

namespace erffast {

// Elements [2 pair, 2 pair + n) of a stream.
using MakeRow = void (*)(double* out, const Stream& stream, Index pair, Index n);

struct RandomKernels {
  MakeRow normals;   // standard normals
  MakeRow uniforms;  // in (0, 1)
};

}  // namespace erffast
