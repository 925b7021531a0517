// Powers of kernels of two or three taps.
#pragma once

#include "sequence.hpp"

namespace erffast {

// Whether `three_taps_power` takes a kernel: two or three taps, none of them zero or far smaller than another.
bool is_three_taps(const Sequence& kernel, Index count);

// The kernel's power. Every value is right to a few roundings, however many layers; what is left out holds at most 2**-bits of the
// mass at each side.
Sequence three_taps_power(const Sequence& kernel, Index count, int bits, const Products& memory);

}  // namespace erffast
