// Pixels of an image from a band of its frequencies, made on the device.
#pragma once

#include "spectral/band.hpp"

namespace erffast::cuda {

class DeviceSynthesis {
 public:
  DeviceSynthesis(const Frequencies& frequencies, const Complex* values, const double* weights) : band_(frequencies, values, weights) {}

  // As `Synthesis::pixels`; `out` is the host's, and filled in strips.
  Extremes pixels(const Window& window, double factor, double* out, Monitor& monitor) const { return make(window, factor, 1, nullptr, out, monitor); }
  // The same on a device, where `negative` times -1 once those below 0 are 0.
  Extremes put(const Window& window, double factor, bool negative, double* out, int device, Monitor& monitor) const;
  std::vector<double> sums(const Window& window, int axis) const { return band_.sums(window, axis); }

 private:
  // To `target` on the current device, or by strips to the host's `out`; times `sign`.
  Extremes make(const Window& window, double factor, double sign, double* target, double* out, Monitor& monitor) const;

  Band band_;
};

}  // namespace erffast::cuda
