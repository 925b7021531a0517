#include "plan.hpp"

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "check.hpp"

namespace erffast::cuda {
namespace {

// Clock cycles, to choose by; no result depends on them. Not measured: a launch of some 3 us, a barrier, and of the arithmetic's
// peak two thirds, or a quarter where kernels have any shape.
constexpr double launch_cycles = 5000, barrier_cycles = 500;
template <class T>
constexpr double multiply_adds_per_cycle(int square) {
  return (square > 0 ? 80.0 : 32.0) * (sizeof(T) == 8 ? 0.5 : 1.0);
}

int square_of(const FusedLayer& layer) {
  const bool square = layer.rows == layer.columns && layer.down == 1 && layer.across == 1;
  return square && (layer.rows == 3 || layer.rows == 5) ? layer.rows : 0;
}

// The first n layers as one launch.
FusedLayers taken(const std::vector<FusedLayer>& layers, int n) {
  FusedLayers result;
  result.n = n;
  result.square = square_of(layers[0]);
  for (int i = 0; i < n; ++i) {
    const FusedLayer& layer = layers[static_cast<std::size_t>(i)];
    result.layers[i] = layer;
    result.n_taps += layer.rows * layer.columns;
    result.back_y += layer.before_y();
    result.back_x += layer.before_x();
  }
  return result;
}

// Bytes of shared memory, two images and the taps; as fused.cuh takes them.
template <class T>
double bytes(const FusedLayers& layers, const Tile& tile) {
  const double pitch = static_cast<double>((tile.width + layers.back_x + 1) / 2 * 2), height = tile.height + layers.back_y;
  return (2 * pitch * height + layers.n_taps) * sizeof(T) + 48;
}

// Sums over the layers of a launch, of what each costs by the pixel: its taps by 1, by what it and those before it look back along
// each axis, and by both. With them the arithmetic of a piece of any size is known at once: there are many to choose from.
struct Moments {
  double one = 0, by_x = 0, by_y = 0, by_both = 0;
};

std::vector<Moments> moments_of(const std::vector<FusedLayer>& layers, int n) {
  std::vector<Moments> result(static_cast<std::size_t>(n) + 1);
  double back_x = 0, back_y = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    const double taps = layers[i].rows * layers[i].columns;
    back_x += layers[i].before_x();
    back_y += layers[i].before_y();
    const Moments& m = result[i];
    result[i + 1] = {m.one + taps, m.by_x + taps * back_x, m.by_y + taps * back_y, m.by_both + taps * back_x * back_y};
  }
  return result;
}

// Cycles a layer.
template <class T>
double cost(const FusedLayers& layers, const Moments& m, const Tile& tile, double blocks, const Limits& limits) {
  const double width = tile.width + layers.back_x, height = tile.height + layers.back_y;
  const double multiply_adds = width * height * m.one - height * m.by_x - width * m.by_y + m.by_both;
  const double block = width * height / 8 + layers.n * barrier_cycles + multiply_adds / multiply_adds_per_cycle<T>(layers.square);
  const double rounds = std::max(1.0, (blocks + limits.multiprocessors - 1) / limits.multiprocessors);
  return (launch_cycles + block * rounds) / layers.n;
}

// Sides of pieces to look at: some that whole warps have, and all of the image where it is small.
std::vector<int> sides(Index side) {
  std::vector<int> result;
  for (const int s : {16, 32, 64, 96, 128, 192, 256, 512, 2048, 8192}) {
    if (s < side) result.push_back(s);
  }
  if (side <= 16384) result.push_back(static_cast<int>(side));
  return result;
}

// Layers that may go together: of one kind.
int most_alike(const std::vector<FusedLayer>& layers) {
  int n = 1;
  while (n < static_cast<int>(layers.size()) && n < most_fused && square_of(layers[static_cast<std::size_t>(n)]) == square_of(layers[0])) ++n;
  return n;
}

Index pieces(Index side, int tile) { return (side + tile - 1) / tile; }

}  // namespace

Limits limits_of_device() {
  int device = 0, shared = 0, multiprocessors = 0;
  check(cudaGetDevice(&device), "asking for the device");
  check(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "asking for its shared memory");
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device), "asking for its multiprocessors");
  return {shared, multiprocessors};
}

template <class T>
bool fits_fused(const FusedLayer& layer, const Limits& limits) {
  // at least a third of what a small piece computes should be of use
  if (layer.before_y() > 32 || layer.before_x() > 1024) return false;
  return bytes<T>(taken({layer}, 1), {1, 32}) <= static_cast<double>(limits.shared_memory);
}

template <class T>
FusedPlan plan_fused(const std::vector<FusedLayer>& layers, Index height, Index width, Index draws, const Limits& limits) {
  FusedPlan best;
  double least = std::numeric_limits<double>::infinity();
  const int most = most_alike(layers);
  const std::vector<Moments> moments = moments_of(layers, most);
  for (int n = most; n >= 1; n = n == 1 ? 0 : std::max(1, n > 8 ? n * 3 / 4 : n / 2)) {
    const FusedLayers group = taken(layers, n);
    const Index out_height = height + group.back_y, out_width = width + group.back_x;
    for (const int h : sides(out_height)) {
      for (const int w : sides(out_width)) {
        if (bytes<T>(group, {h, w}) > static_cast<double>(limits.shared_memory)) break;
        const Index tiles_x = pieces(out_width, w), tiles_y = pieces(out_height, h);
        const double price = cost<T>(group, moments[static_cast<std::size_t>(n)], {h, w}, static_cast<double>(tiles_x * tiles_y * draws), limits);
        if (price < least) {
          least = price;
          best = {group, {h, w}, tiles_x, tiles_y};
        }
      }
    }
  }
  if (best.layers.n == 0) {  // a wide kernel in little shared memory
    best = {taken(layers, 1), {1, 32}, pieces(width + layers[0].before_x(), 32), height + layers[0].before_y()};
  }
  return best;
}

template bool fits_fused<float>(const FusedLayer&, const Limits&);
template bool fits_fused<double>(const FusedLayer&, const Limits&);
template FusedPlan plan_fused<float>(const std::vector<FusedLayer>&, Index, Index, Index, const Limits&);
template FusedPlan plan_fused<double>(const std::vector<FusedLayer>&, Index, Index, Index, const Limits&);

}  // namespace erffast::cuda
