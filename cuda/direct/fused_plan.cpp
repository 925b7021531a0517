#include "fused_plan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

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
double bytes(double n_taps, double pitch, double height) {
  return (2 * pitch * height + n_taps) * sizeof(T) + 48;
}

double even(double n) { return 2 * std::ceil(n / 2); }

// The first n layers: what they look back, and sums over them of what each costs by the pixel, its taps by 1, by what it and those
// before it look back along each axis, and by both. With them the arithmetic of a piece of any size is known at once.
struct Totals {
  double n = 0, back_x = 0, back_y = 0;
  double taps = 0, by_x = 0, by_y = 0, by_both = 0;
};

std::vector<Totals> totals_of(const std::vector<FusedLayer>& layers, int n) {
  std::vector<Totals> result(static_cast<std::size_t>(n) + 1);
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    Totals t = result[i];
    const double taps = layers[i].rows * layers[i].columns;
    t.n += 1;
    t.back_x += layers[i].before_x();
    t.back_y += layers[i].before_y();
    t.taps += taps;
    t.by_x += taps * t.back_x;
    t.by_y += taps * t.back_y;
    t.by_both += taps * t.back_x * t.back_y;
    result[i + 1] = t;
  }
  return result;
}

// Cycles a layer, of blocks that take width x height pixels of the first layer's input.
double cost(const Totals& t, double width, double height, double blocks, double multiply_adds_a_cycle, double multiprocessors) {
  const double multiply_adds = width * height * t.taps - height * t.by_x - width * t.by_y + t.by_both;
  const double block = width * height / 8 + t.n * barrier_cycles + multiply_adds / multiply_adds_a_cycle;
  return (launch_cycles + block * std::ceil(blocks / multiprocessors)) / t.n;
}

// Sides of pieces to look at, to save time a few: some that whole warps have, and all of the image where it is small.
struct Sides {
  explicit Sides(double side) {
    for (const int s : {16, 32, 64, 96, 128, 192, 256, 512, 2048, 8192}) {
      if (s < side) at[n++] = s;
    }
    if (side <= 16384) at[n++] = static_cast<int>(side);
  }
  int at[11];
  int n = 0;
};

// Layers that may go together: of one kind.
int most_alike(const std::vector<FusedLayer>& layers) {
  int n = 1;
  while (n < static_cast<int>(layers.size()) && n < most_fused && square_of(layers[static_cast<std::size_t>(n)]) == square_of(layers[0])) ++n;
  return n;
}

Index pieces(Index side, int tile) { return (side + tile - 1) / tile; }

}  // namespace

template <class T>
bool fits_fused(const FusedLayer& layer, const Limits& limits) {
  // at least a third of what a small piece computes should be of use
  if (layer.before_y() > 32 || layer.before_x() > 1024) return false;
  const double pitch = even(32.0 + layer.before_x()), height = 1.0 + layer.before_y();
  return bytes<T>(layer.rows * layer.columns, pitch, height) <= static_cast<double>(limits.shared_memory);
}

template <class T>
FusedPlan plan_fused(const std::vector<FusedLayer>& layers, Index height, Index width, Index draws, const Limits& limits) {
  const int most = most_alike(layers);
  const std::vector<Totals> totals = totals_of(layers, most);
  const double rate = multiply_adds_per_cycle<T>(square_of(layers[0])), all_draws = static_cast<double>(draws);
  double least = std::numeric_limits<double>::infinity();
  int best = 1;
  Tile tile{1, 32};  // fits where nothing else does: a wide kernel in little shared memory
  for (int n = most; n >= 1; n = n > 4 ? n * 2 / 3 : n - 1) {
    const Totals& t = totals[static_cast<std::size_t>(n)];
    const double out_height = static_cast<double>(height) + t.back_y, out_width = static_cast<double>(width) + t.back_x;
    const Sides down(out_height), across(out_width);
    for (int i = 0; i < down.n; ++i) {
      const double rows = down.at[i] + t.back_y, strips = std::ceil(out_height / down.at[i]) * all_draws;
      for (int j = 0; j < across.n; ++j) {
        const double pitch = even(across.at[j] + t.back_x);
        if (bytes<T>(t.taps, pitch, rows) > static_cast<double>(limits.shared_memory)) break;
        const double price = cost(t, pitch, rows, strips * std::ceil(out_width / across.at[j]), rate, limits.multiprocessors);
        if (price >= least) continue;
        least = price;
        best = n;
        tile = {down.at[i], across.at[j]};
      }
    }
  }
  FusedPlan plan{taken(layers, best), tile, 1, 1};
  plan.tiles_x = pieces(width + plan.layers.back_x, tile.width);
  plan.tiles_y = pieces(height + plan.layers.back_y, tile.height);
  return plan;
}

template bool fits_fused<float>(const FusedLayer&, const Limits&);
template bool fits_fused<double>(const FusedLayer&, const Limits&);
template FusedPlan plan_fused<float>(const std::vector<FusedLayer>&, Index, Index, Index, const Limits&);
template FusedPlan plan_fused<double>(const std::vector<FusedLayer>&, Index, Index, Index, const Limits&);

}  // namespace erffast::cuda
