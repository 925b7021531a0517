// How many layers go into a fused launch, and in pieces of what size.
#pragma once

#include <vector>

#include "devices.hpp"
#include "frame.hpp"

namespace erffast::cuda {

template <class T>
bool fits_fused(const FusedLayer& layer, const Limits& limits);

struct FusedPlan {
  FusedLayers layers;
  Tile tile;
  Index tiles_x = 1, tiles_y = 1;
};

// The next launch for `layers`, at least one of which fits by itself, on an image of the given sides.
template <class T>
FusedPlan plan_fused(const std::vector<FusedLayer>& layers, Index height, Index width, Index draws, const Limits& limits);

}  // namespace erffast::cuda
