// Many equal 1-D layers in one kernel.
#pragma once

#include "sequence.hpp"

namespace erffast {

// The kernel's power, leaving out at most `trim_share` of the mass.
Sequence repeated(const Sequence& kernel, Index count, double trim_share, const Composing& composing, const Products& products);

}  // namespace erffast
