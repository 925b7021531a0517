// A product of layers of one spacing, seen from finer frequencies.
#pragma once

#include <utility>
#include <vector>

#include "product.hpp"

namespace erffast {

// With taps D pixels apart the product repeats: on a period of N pixels it takes N / gcd(N, D) values. It is computed for those
// and looked up from the whole grid. In a band, which holds few frequencies, it is computed in place.
class Sampled {
 public:
  Sampled(const std::vector<const Layers*>& runs, const Frequencies& frequencies, Index draws, Team& team, Monitor& monitor);

  // Value and power of two at a row and column of the frequencies it was made for.
  std::pair<Complex, std::int32_t> at(Index draw, Index row, Index column) const {
    bool conjugate = false;
    if (!own_.banded) {
      row = row * step_[0] % own_.height;
      column = column * step_[1] % own_.width;
      conjugate = column > own_.width / 2;
      if (conjugate) {
        row = row == 0 ? 0 : own_.height - row;
        column = own_.width - column;
      }
    }
    const std::size_t i = static_cast<std::size_t>((draw * own_.rows() + row) * own_.columns() + column);
    return {conjugate ? std::conj(values_[i]) : values_[i], exponents_[i]};
  }

 private:
  Frequencies own_;
  Index step_[2] = {1, 1};
  std::vector<Complex> values_;
  std::vector<std::int32_t> exponents_;
};

}  // namespace erffast
