// The spectral engine's functions.
#pragma once

#include <complex>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "backend.hpp"
#include "erffast/spectrum.hpp"
#include "erffast/synthesise.hpp"

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

inline std::pair<Array<Complex>, Array<Index>> run_spectrum(const py::list& list, std::pair<Index, Index> shape, const py::object& band,
                                                            Index draws, int threads, Index memory_limit, py::object progress) {
  require(draws >= 1, "draws must be at least 1");
  const SpectralLayers layers = read_layers(list, draws);
  const Frequencies f = read_frequencies(shape, band);
  Array<Complex> values({draws, f.rows(), f.columns()});
  Array<Index> exponents(draws);
  Complex* v = values.mutable_data();
  Index* e = exponents.mutable_data();
  Reporter reporter(std::move(progress), layers.kernels * draws);
  reporter.run([&](Monitor& monitor) {
    spectrum(layers.layers, f, draws, threads, memory_limit, v, e, monitor);
    return 0;
  });
  return {values, exponents};
}

// errors [draws], centres [draws, 2], spreads [draws, 2]
inline py::tuple run_probe(const py::list& list, std::pair<Index, Index> shape, const py::object& band, const Array<Complex>& values,
                           const Array<Index>& exponents, Index samples, int threads) {
  require(values.ndim() == 3 && exponents.size() == values.shape(0) && samples >= 1, "values must be [draws, rows, columns], exponents [draws]");
  const Index draws = values.shape(0);
  const SpectralLayers layers = read_layers(list, draws);
  const Frequencies f = read_frequencies(shape, band);
  require(values.shape(1) == f.rows() && values.shape(2) == f.columns(), "values must hold the frequencies of the period");
  const Complex* v = values.data();
  const Index* e = exponents.data();
  Reporter reporter(py::none(), 1);
  const auto probes = reporter.run([&](Monitor& monitor) { return probe(layers.layers, f, draws, v, e, samples, threads, monitor); });
  Array<double> errors(draws), centres({draws, Index{2}}), spreads({draws, Index{2}});
  for (Index d = 0; d < draws; ++d) {
    const Probe& p = probes[static_cast<std::size_t>(d)];
    errors.mutable_data()[d] = p.error;
    std::copy_n(p.centre, 2, centres.mutable_data() + 2 * d);
    std::copy_n(p.spread, 2, spreads.mutable_data() + 2 * d);
  }
  return py::make_tuple(errors, centres, spreads);
}

// Largest and smallest pixel, the latter before those below 0 were set to 0.
inline std::pair<double, double> run_synthesise(const Array<double>& weights, const Array<double>& waves, Array<double> out, int threads) {
  require(weights.ndim() == 2 && waves.ndim() == 2 && out.ndim() == 2 && weights.shape(1) == waves.shape(0), "weights must be [rows, waves], waves [waves, pitch]");
  require(out.writeable() && out.shape(0) == weights.shape(0), "out must have one row per row of weights");
  require(waves.shape(1) % 16 == 0 && waves.shape(1) >= out.shape(1), "the waves' length must be a multiple of 16, and no less than the image's width");
  const double* w = weights.data();
  const double* v = waves.data();
  double* o = out.mutable_data();
  Reporter reporter(py::none(), 1);
  const Extremes found = reporter.run([&](Monitor& monitor) {
    return synthesise(w, v, waves.shape(0), waves.shape(1), o, out.shape(0), out.shape(1), threads, monitor);
  });
  return {found.largest, found.smallest};
}

inline void bind_spectral(py::module_& m) {
  m.def("spectrum", &run_spectrum, py::arg("layers"), py::arg("shape"), py::arg("band"), py::arg("draws"), py::arg("threads"),
        py::arg("memory_limit"), py::arg("progress"));
  m.def("probe", &run_probe, py::arg("layers"), py::arg("shape"), py::arg("band"), py::arg("values"), py::arg("exponents"),
        py::arg("samples"), py::arg("threads"));
  m.def("synthesise", &run_synthesise, py::arg("weights"), py::arg("waves"), py::arg("out").noconvert(), py::arg("threads"));
}

}  // namespace erffast::python
