// A band of frequencies that pixels are to be made from, on any device: what is worked out once, not pixel by pixel.
#pragma once

#include <vector>

#include "circle.hpp"
#include "erffast/synthesis.hpp"

namespace erffast {

class Band {
 public:
  // values: rows 0 .. K_y, -K_y .. -1, columns 0 .. K_x; weights: how often each column counts, [columns].
  Band(const Frequencies& frequencies, const Complex* values, const double* weights);

  const Frequencies& frequencies() const { return f_; }
  const Circle& circle(int axis) const { return circles_[axis]; }

  // Sums and differences of the frequencies +-k_y, times a factor and moved to the middle of a window: out [2 K_y + 1] lines, `pitch` apart,
  // of [K_x + 1] complex numbers.
  void lines(const Window& window, double factor, Index pitch, double* out) const;
  // How much of each line is in each row of the window: out [rows, 2 K_y + 1].
  void weights(const Window& window, double* out) const;
  // As `Synthesis::sums`.
  std::vector<double> sums(const Window& window, int axis) const;

 private:
  Complex at(Index ky, Index kx) const;

  Frequencies f_;
  std::vector<Complex> values_;  // [2 K_y + 1, K_x + 1], with their weights
  Circle circles_[2];
};

}  // namespace erffast
