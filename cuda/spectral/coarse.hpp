// A product of layers of one spacing, seen from finer frequencies.
#pragma once

#include <vector>

#include "spectral/coarse.cuh"
#include "spectral/period_product.hpp"
#include "spectral/session.hpp"

namespace erffast::cuda {

// With taps D pixels apart the product repeats: on a period of N pixels it takes N / gcd(N, D) values (cpp/src/spectral/sampled.hpp). In a
// band, which holds few frequencies, it is computed in place.
class CoarseProduct {
 public:
  CoarseProduct(const std::vector<const Layers*>& runs, const Frequencies& frequencies, Index draws, Session& session, Monitor& monitor);
  const Coarse& view() const { return view_; }

 private:
  Frequencies own_;
  DeviceSpectrum values_;
  Coarse view_{};
};

}  // namespace erffast::cuda
