// Pixels of an image from a band of its frequencies, made on the device.
#pragma once

#include "spectral/band.hpp"

namespace erffast::cuda {

class DeviceSynthesis {
 public:
  DeviceSynthesis(const Frequencies& frequencies, const Complex* values, const double* weights) : band_(frequencies, values, weights) {}

  // As `Synthesis::pixels`; `out` is the host's, and filled in strips.
  Extremes pixels(const Window& window, double factor, double* out, Monitor& monitor) const;
  std::vector<double> sums(const Window& window, int axis) const { return band_.sums(window, axis); }

 private:
  Band band_;
};

}  // namespace erffast::cuda
