#include "groups.hpp"

#include <algorithm>
#include <cmath>

namespace erffast {
namespace {

// Combined rows reach this far: four layers of three taps. Eight would save a third of the instructions and lose a factor of 4
// in accuracy.
constexpr Index combined_half = 4;
// Bits by which products may grow between two renormalisations: taps are below 1, so a kernel gains at most log2 of its size.
constexpr double safe_bits = 300;

}  // namespace

GroupedLayers::GroupedLayers(const std::vector<const Layers*>& layers, Index draws)
    : spacing_{layers[0]->spacing[0], layers[0]->spacing[1]} {
  for (const Layers* run : layers) count_ += run->n_kernels;
  fold(layers, draws);
  plan();
}

void GroupedLayers::fold(const std::vector<const Layers*>& layers, Index draws) {
  for (const Layers* run : layers) shared_ = shared_ && run->tap_draws == 1;
  const Index kept = shared_ ? 1 : draws;
  for (const Layers* run : layers) doubles_ += kept * run->n_kernels * 2 * (run->height / 2 + 1) * (2 * (run->width / 2) + 1);
  store_ = std::make_unique<Table>(doubles_);
  double* next = store_->data();
  for (Index d = 0; d < kept; ++d) {
    for (const Layers* run : layers) {
      const Index size = run->height * run->width;
      for (Index k = 0; k < run->n_kernels; ++k) {
        const double* taps = run->taps + (k * run->tap_draws + (run->tap_draws == 1 ? 0 : d)) * size;
        folded_.push_back(fold_one(taps, run->height, run->width, next));
      }
    }
  }
}

// Into a box of odd sides; an even kernel reaches one further after its centre.
Folded GroupedLayers::fold_one(const double* taps, Index height, Index width, double*& next) {
  const Index half_y = height / 2, half_x = width / 2, n = 2 * half_x + 1, size = (half_y + 1) * n;
  double* even = next;
  double* odd = next + size;
  next += 2 * size;
  for (Index a = 0; a < height; ++a) {
    const Index y = a - (height - 1) / 2;
    for (Index b = 0; b < width; ++b) {
      const Index i = std::abs(y) * n + b - (width - 1) / 2 + half_x;
      even[i] += taps[a * width + b];
      odd[i] += y > 0 ? -taps[a * width + b] : y < 0 ? taps[a * width + b] : 0;
    }
  }
  largest_half_y_ = std::max(largest_half_y_, half_y);
  return {even, odd, half_y, half_x};
}

void GroupedLayers::plan() {
  double bits = 0;
  for (Index i = 0; i < count_;) {
    Group group{i, 1, folded_[static_cast<std::size_t>(i)].half_x, false, 1};
    double gain = bits_of(i);
    for (Index j = i + 1; j < count_ && group.layers < Group::most_layers; ++j, ++group.layers) {
      const Index half = group.half + folded_[static_cast<std::size_t>(j)].half_x;
      if (half > combined_half) break;
      group.half = half;
      gain += bits_of(j);
    }
    bits += gain;
    if (bits > safe_bits && !groups_.empty()) {
      groups_.back().renormalise = true;
      bits = gain;
    }
    largest_half_ = std::max(largest_half_, group.half);
    i += group.layers;
    groups_.push_back(group);
  }
  for (std::size_t g = groups_.size(); g-- > 1;) {
    Group& before = groups_[g - 1];
    if (!before.renormalise && before.half == groups_[g].half) before.equal = groups_[g].equal + 1;
  }
}

double GroupedLayers::bits_of(Index i) const {
  const Folded& f = folded_[static_cast<std::size_t>(i)];
  return std::log2(static_cast<double>((2 * f.half_y + 1) * (2 * f.half_x + 1))) + 1;
}

}  // namespace erffast
