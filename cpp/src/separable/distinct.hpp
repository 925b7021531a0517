// Many different 1-D layers.
#pragma once

#include <functional>

#include "sequence.hpp"

namespace erffast {

// 1-D kernels of one length, one for each layer.
struct Layers1d {
  Index taps;
  Index count;
  std::function<void(Index layer, double* taps)> read;
};

// image * kernel 1 * kernel 2 ..., leaving out at most `trim_share` of the mass.
Sequence filtered(Sequence image, const Layers1d& layers, double trim_share, const Composing& composing, const Products& products, Monitor& monitor);

}  // namespace erffast
