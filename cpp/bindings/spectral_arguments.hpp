// How layers and frequencies of the spectral engine are read, on any device.
#pragma once

#include <utility>
#include <vector>

#include "arrays.hpp"
#include "erffast/spectrum.hpp"
#include "reporter.hpp"

namespace erffast::python {

// Layers, and the arrays that keep their pointers alive.
struct SpectralLayers {
  std::vector<Layers> layers;
  std::vector<py::array> keep;
  Index kernels = 0;
};

// Each: (taps [n_kernels, 1 or draws, rows, columns], spacing, count)
inline SpectralLayers read_layers(const py::list& list, Index draws) {
  SpectralLayers result;
  for (const py::handle& item : list) {
    const auto fields = item.cast<py::tuple>();
    require(fields.size() == 3, "a layer must have three fields");
    const auto taps = fields[0].cast<Array<double>>();
    require(taps.ndim() == 4, "taps must have four axes");
    for (int axis = 0; axis < 4; ++axis) require(taps.shape(axis) > 0, "taps must not be empty");
    Layers run{taps.data(), taps.shape(0), taps.shape(1), taps.shape(2), taps.shape(3), {}, fields[2].cast<Index>()};
    read_pair(fields[1], run.spacing);
    require(run.tap_draws == 1 || run.tap_draws == draws, "taps must have one entry per draw, or one for all");
    require(run.spacing[0] >= 1 && run.spacing[1] >= 1 && run.count >= 1, "spacing and count must be at least 1");
    require(run.count == 1 || run.n_kernels == 1, "a repeated layer has one kernel");
    result.layers.push_back(run);
    result.keep.push_back(taps);
    result.kernels += run.n_kernels;
  }
  require(!result.layers.empty(), "there must be a layer");
  return result;
}

inline Frequencies read_frequencies(std::pair<Index, Index> shape, const py::object& band) {
  Frequencies f{shape.first, shape.second};
  require(f.height >= 1 && f.width >= 2 && f.width % 2 == 0, "the period must be positive, and its width even");
  f.banded = !band.is_none();
  if (f.banded) {
    read_pair(band, f.band);
    require(f.band[0] >= 0 && f.band[1] >= 0 && 2 * f.band[0] < f.height && 2 * f.band[1] <= f.width, "the band must lie in the period");
  }
  return f;
}

}  // namespace erffast::python
