// Layers of one spacing, folded and grouped: how their product is taken, on any device.
#pragma once

#include <memory>
#include <vector>

#include "aligned.hpp"
#include "erffast/spectral_kernels.hpp"
#include "erffast/spectrum.hpp"

namespace erffast {

class GroupedLayers {
 public:
  // All of one spacing.
  GroupedLayers(const std::vector<const Layers*>& layers, Index draws);

  Index spacing(int axis) const { return spacing_[axis]; }
  Index count() const { return count_; }
  Index largest_half() const { return largest_half_; }
  Index largest_half_y() const { return largest_half_y_; }
  const std::vector<Group>& groups() const { return groups_; }
  // The folded layers [count] of one draw; all of them stand in `taps`, one draw after the other, or once where no draw differs.
  const Folded* folded(Index draw) const { return folded_.data() + (shared_ ? 0 : draw * count_); }
  bool shared() const { return shared_; }
  const double* taps() const { return store_->data(); }
  Index doubles() const { return doubles_; }  // of all draws

 private:
  void fold(const std::vector<const Layers*>& layers, Index draws);
  Folded fold_one(const double* taps, Index height, Index width, double*& next);
  void plan();
  double bits_of(Index i) const;

  Index spacing_[2];
  Index count_ = 0, doubles_ = 0, largest_half_ = 0, largest_half_y_ = 0;
  bool shared_ = true;
  std::vector<Folded> folded_;  // [draws or 1, count]
  std::vector<Group> groups_;
  std::unique_ptr<Table> store_;
};

}  // namespace erffast
