// Short sequences in double-double arithmetic: the first products of many, whose errors all later ones multiply.
#pragma once

#include <vector>

#include "sequence.hpp"

namespace erffast {

class ExactSequence {
 public:
  explicit ExactSequence(const Sequence& kernel);  // without its accounts

  Index size() const { return n_; }
  ExactSequence times(const ExactSequence& other) const;

  // Rounded once. `products` is the number of kernels multiplied: each costs at most 2 * 512 operations of 2**-103.
  Sequence rounded(Index products) const;

 private:
  ExactSequence() = default;
  const double* hi() const { return parts_.data(); }
  const double* lo() const { return parts_.data() + pitch_; }
  double* hi() { return parts_.data(); }
  double* lo() { return parts_.data() + pitch_; }
  void rescale();

  Index n_ = 0, pitch_ = 0, origin_ = 0, exponent_ = 0;
  std::vector<double> parts_;  // [2, pitch]: high parts, low parts
};

}  // namespace erffast
