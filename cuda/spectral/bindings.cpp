#include "spectral/bindings.hpp"

#include <pybind11/stl.h>


#include "spectral_arguments.hpp"
#include "spectral/spectra.hpp"

namespace erffast::cuda {
namespace {

namespace py = pybind11;
using python::Array;
using python::Reporter;
using python::require;
using Pair = std::pair<Index, Index>;

template <class T>
Array<T> array(const std::vector<T>& values) {
  return Array<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

// Work of some milliseconds, without the GIL.
template <class Work>
auto run(Work&& work) {
  Reporter reporter(py::none(), 1);
  return reporter.run([&](Monitor& monitor) { return work(monitor); });
}

// ------------------------------------------------------------------------------------------------ spectra

std::unique_ptr<Spectra> make_spectra(const py::list& list, Pair shape, Index draws, Index memory_limit, py::object progress) {
  require(draws >= 1, "draws must be at least 1");
  const python::SpectralLayers layers = python::read_layers(list, draws);
  const Frequencies f = python::read_frequencies(shape, py::none());
  Reporter reporter(std::move(progress), layers.kernels * draws);
  return reporter.run([&](Monitor& monitor) { return std::make_unique<Spectra>(layers.layers, f, draws, memory_limit, monitor); });
}

// complex128 [draws, rows, columns]
Array<Complex> values(const Spectra& s) {
  Array<Complex> out({s.draws(), s.frequencies().rows(), s.frequencies().columns()});
  Complex* const o = out.mutable_data();
  run([&](Monitor&) {
    s.values(o);
    return 0;
  });
  return out;
}

// places int64 [draws, samples, 2], sums of squares float64 [draws]
py::tuple quantiles(const Spectra& s, Index samples) {
  require(samples >= 1, "samples must be at least 1");
  Array<Index> places({s.draws(), samples, Index{2}});
  Array<double> squares(s.draws());
  Index* const p = places.mutable_data();
  double* const q = squares.mutable_data();
  run([&](Monitor&) {
    s.quantiles(samples, p, q);
    return 0;
  });
  return py::make_tuple(places, squares);
}

// complex128 [draws, n] at places int64 [draws, n, 2]
Array<Complex> at(const Spectra& s, const Array<Index>& places) {
  require(places.ndim() == 3 && places.shape(0) == s.draws() && places.shape(2) == 2 && places.size() > 0, "places must be [draws, n, 2]");
  const Index n = places.shape(1);
  const Index* const p = places.data();
  for (Index i = 0; i < s.draws() * n; ++i) {
    require(0 <= p[2 * i] && p[2 * i] < s.frequencies().rows() && 0 <= p[2 * i + 1] && p[2 * i + 1] < s.frequencies().columns(), "places must lie in the spectrum");
  }
  Array<Complex> out({s.draws(), n});
  Complex* const o = out.mutable_data();
  run([&](Monitor&) {
    s.at(p, n, o);
    return 0;
  });
  return out;
}

// places int64 [n, 2], largest and sums float64 [n]
py::tuple blocks(const Spectra& s, Index draw, Index down, Index across) {
  require(0 <= draw && draw < s.draws() && down >= 1 && across >= 1, "no such draw, or no blocks");
  const SpectrumBlocks found = run([&](Monitor&) { return s.blocks(draw, down, across); });
  Array<Index> places({down * across, Index{2}});
  std::copy(found.places.begin(), found.places.end(), places.mutable_data());
  return py::make_tuple(places, array(found.largest), array(found.sums));
}

// ------------------------------------------------------------------------------------------------ images

void require_draw(const PeriodImages& images, Index draw) { require(0 <= draw && draw < images.draws(), "no such draw"); }

std::pair<Index, Index> shape(const PeriodImages& images) { return {images.height(), images.width()}; }

Array<double> column_energies(const PeriodImages& images, Index draw) {
  require_draw(images, draw);
  return array(run([&](Monitor&) { return images.column_energies(draw); }));
}

Array<double> sums(const PeriodImages& images, Index draw, int axis) {
  require_draw(images, draw);
  require(axis == 0 || axis == 1, "axis must be 0 or 1");
  return array(run([&](Monitor&) { return images.sums(draw, axis); }));
}

double largest(const PeriodImages& images, Index draw, Pair first, Pair size) {
  require_draw(images, draw);
  require(size.first >= 1 && size.second >= 1, "the part must not be empty");
  return run([&](Monitor&) { return images.largest(draw, first.first, first.second, size.first, size.second); });
}

// complex128 [n]
Array<Complex> waves(const PeriodImages& images, Index draw, const Array<Index>& frequencies, Pair finer, Pair first) {
  require_draw(images, draw);
  require(frequencies.ndim() == 2 && frequencies.shape(1) == 2 && finer.first >= 1 && finer.second >= 1, "frequencies must be [n, 2], steps positive");
  const Index* const f = frequencies.data();
  const Index n = frequencies.shape(0);
  return array(run([&](Monitor&) { return images.waves(draw, f, n, {finer.first, finer.second}, {first.first, first.second}); }));
}

template <class T>
void crop(const PeriodImages& images, Index draw, Pair first, Pair corner, Pair sides, double factor, Array<T> out) {
  require_draw(images, draw);
  require(out.ndim() == 2 && out.writeable(), "out must be a writable image");
  require(corner.first >= 0 && sides.first >= 0 && corner.first + sides.first <= out.shape(0), "the crop must lie in out");
  require(corner.second >= 0 && sides.second >= 0 && corner.second + sides.second <= out.shape(1), "the crop must lie in out");
  T* const target = out.mutable_data() + corner.first * out.shape(1) + corner.second;
  const Index pitch = out.shape(1);
  const Crop wanted{draw, first.first, first.second, sides.first, sides.second};
  run([&](Monitor& monitor) {
    images.crop(wanted, factor, target, pitch, monitor);
    return 0;
  });
}

}  // namespace

void bind_spectral(py::module_& m) {
  py::class_<PeriodImages>(m, "PeriodImages")
      .def_property_readonly("shape", &shape)
      .def("clip", [](PeriodImages& images) { run([&](Monitor&) { images.clip(); return 0; }); })
      .def("column_energies", &column_energies, py::arg("draw"))
      .def("sums", &sums, py::arg("draw"), py::arg("axis"))
      .def("largest", &largest, py::arg("draw"), py::arg("first"), py::arg("size"))
      .def("waves", &waves, py::arg("draw"), py::arg("frequencies"), py::arg("finer"), py::arg("first"))
      .def("crop_f32", &crop<float>, py::arg("draw"), py::arg("first"), py::arg("corner"), py::arg("sides"), py::arg("factor"), py::arg("out").noconvert())
      .def("crop_f64", &crop<double>, py::arg("draw"), py::arg("first"), py::arg("corner"), py::arg("sides"), py::arg("factor"), py::arg("out").noconvert());
  py::class_<Spectra>(m, "Spectra")
      .def_property_readonly("exponents", [](const Spectra& s) { return array(s.exponents()); })
      .def("values", &values)
      .def("quantiles", &quantiles, py::arg("samples"))
      .def("at", &at, py::arg("places"))
      .def("blocks", &blocks, py::arg("draw"), py::arg("down"), py::arg("across"));
  m.def("spectra", &make_spectra, py::arg("layers"), py::arg("shape"), py::arg("draws"), py::arg("memory_limit"), py::arg("progress"));
}

}  // namespace erffast::cuda
