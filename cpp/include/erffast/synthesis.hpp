// Pixels of an image from a band of its frequencies.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "erffast/monitor.hpp"
#include "erffast/spectrum.hpp"

namespace erffast {

struct Extremes {
  double largest, smallest;  // of all values, before those below 0 were set to it
};

// Pixels low + step * i, i < size, along each axis.
struct Window {
  std::array<Index, 2> low, size, step;
};

class Band;

// image[y, x] = 1 / pixels of the period * sum over k_x of weight Re( exp(2 pi i k_x x / width) sum over k_y of P[k_y, k_x] exp(2 pi i k_y y / height) )
class Synthesis {
 public:
  // values: rows 0 .. K_y, -K_y .. -1, columns 0 .. K_x; weights: how often each column counts, [columns].
  Synthesis(const Frequencies& frequencies, const Complex* values, const double* weights);
  ~Synthesis();

  // out [size] = max(0, factor * pixel).
  Extremes pixels(const Window& window, double factor, double* out, int threads, Monitor& monitor) const;
  // Sums over the window along the other axis, for each pixel along `axis`; its steps must be 1.
  std::vector<double> sums(const Window& window, int axis) const;

 private:
  std::unique_ptr<Band> band_;
};

}  // namespace erffast
