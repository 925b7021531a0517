#include "spectral/bindings.hpp"

#include <pybind11/stl.h>

#include "device_image.hpp"
#include "spectral_arguments.hpp"
#include "spectral/fourier.hpp"
#include "spectral/spectra.hpp"
#include "spectral/spectrum.hpp"
#include "spectral/synthesis.hpp"

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

// images, their peaks float64 [draws], and the sums of squares of their rows float64 [draws, rows]
py::tuple weighed(std::unique_ptr<PeriodImages> images, double factor) {
  std::vector<double> peaks, energies;
  run([&](Monitor&) {
    images->scale(factor, peaks, energies);
    return 0;
  });
  Array<double> rows({images->draws(), images->height()});
  std::copy(energies.begin(), energies.end(), rows.mutable_data());
  return py::make_tuple(std::move(images), array(peaks), rows);
}

py::tuple inverse(Spectra& s) {
  auto images = run([&](Monitor&) { return std::make_unique<PeriodImages>(s.inverse()); });
  return weighed(std::move(images), 1 / (static_cast<double>(s.frequencies().height) * static_cast<double>(s.frequencies().width)));
}

// Images made elsewhere, float64 [draws, rows, columns], brought to the device: what tests ask their questions of.
py::tuple bring(const Array<double>& pixels, Index memory_limit) {
  require(pixels.ndim() == 3 && pixels.size() > 0, "pixels must be [draws, rows, columns]");
  const double* const p = pixels.data();
  auto images = run([&](Monitor&) {
    const auto session = std::make_shared<Session>(memory_limit);
    auto made = std::make_unique<PeriodImages>(session, pixels.shape(0), pixels.shape(1), pixels.shape(2));
    check(cudaMemcpyAsync(made->data(), p, static_cast<std::size_t>(pixels.size()) * sizeof(double), cudaMemcpyHostToDevice, session->stream), "copying to the device");
    session->stream.wait();
    return made;
  });
  return weighed(std::move(images), 1.0);
}

// ------------------------------------------------------------------------------------------------ bands

// As `spectrum` of _core: values and exponents on the host.
std::pair<Array<Complex>, Array<Index>> run_spectrum(const py::list& list, Pair shape, const py::object& band, Index draws, int, Index memory_limit,
                                                     py::object progress) {
  require(draws >= 1, "draws must be at least 1");
  const python::SpectralLayers layers = python::read_layers(list, draws);
  const Frequencies f = python::read_frequencies(shape, band);
  Array<Complex> values({draws, f.rows(), f.columns()});
  Array<Index> exponents(draws);
  auto* const v = reinterpret_cast<double2*>(values.mutable_data());
  Index* const e = exponents.mutable_data();
  Reporter reporter(std::move(progress), layers.kernels * draws);
  reporter.run([&](Monitor& monitor) {
    Session session(memory_limit);
    const DeviceArray<double2> found = spectrum(layers.layers, f, draws, session, monitor, e);
    found.to_host(v, found.size(), session.stream);
    session.stream.wait();
    return 0;
  });
  return {values, exponents};
}

// As `synthesis` of _core: values [2 K_y + 1, K_x + 1], weights [K_x + 1].
std::unique_ptr<DeviceSynthesis> make_synthesis(const Array<Complex>& values, const Array<double>& weights, Pair shape, const py::object& band) {
  const Frequencies f = python::read_frequencies(shape, band);
  require(f.banded && values.ndim() == 2 && values.shape(0) == f.rows() && values.shape(1) == f.columns(), "values must hold the frequencies of the band");
  require(weights.size() == f.columns(), "weights must have one entry per column");
  return std::make_unique<DeviceSynthesis>(f, values.data(), weights.data());
}

std::pair<double, double> write_pixels(const DeviceSynthesis& synthesis, Pair low, Pair step, double factor, Array<double> out, int) {
  require(out.ndim() == 2 && out.size() > 0 && out.writeable() && step.first >= 1 && step.second >= 1, "out must be an image, steps at least 1");
  const Window window{{low.first, low.second}, {out.shape(0), out.shape(1)}, {step.first, step.second}};
  double* const o = out.mutable_data();
  const Extremes found = run([&](Monitor& monitor) { return synthesis.pixels(window, factor, o, monitor); });
  return {found.largest, found.smallest};
}

// The same into one of the draws of an image on the device [draws, rows, columns] float64; pixels times -1 where `negative`.
std::pair<double, double> put_pixels(const DeviceSynthesis& synthesis, Pair low, double factor, bool negative, const DeviceImage& out, Index draw) {
  const std::vector<Index>& shape = out.shape();
  require(shape.size() == 3 && out.pitch() == shape[2] && out.dtype() == std::string("float64"), "out must be [draws, rows, columns] of float64");
  require(0 <= draw && draw < shape[0], "no such draw");
  const Window window{{low.first, low.second}, {shape[1], shape[2]}, {1, 1}};
  const Extremes found = run([&](Monitor& monitor) { return synthesis.put(window, factor, negative, out.draw<double>(draw), out.device(), monitor); });
  return {found.largest, found.smallest};
}

Array<double> sum_pixels(const DeviceSynthesis& synthesis, Pair low, Pair size, int axis) {
  require(size.first >= 1 && size.second >= 1 && (axis == 0 || axis == 1), "the window must not be empty, axis 0 or 1");
  return array(synthesis.sums({{low.first, low.second}, {size.first, size.second}, {1, 1}}, axis));
}

// ------------------------------------------------------------------------------------------------ images

void require_draw(const PeriodImages& images, Index draw) { require(0 <= draw && draw < images.draws(), "no such draw"); }

std::pair<Index, Index> shape(const PeriodImages& images) { return {images.height(), images.width()}; }

void clip(PeriodImages& images, Index draw) {
  require_draw(images, draw);
  run([&](Monitor&) {
    images.clip(draw);
    return 0;
  });
}

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

// An image that belongs into a target: the pixels are (PeriodImages, draw), the rest is as of `place_f32` and `place_f64` of _core.
struct Placed {
  Placed(const py::handle& item, Index height, Index width) {
    const auto fields = item.cast<py::tuple>();
    require(fields.size() == 5, "an image must have five fields");
    const auto which = fields[0].cast<py::tuple>();
    images = &which[0].cast<const PeriodImages&>();  // alive in the list
    const auto draw = which[1].cast<Index>();
    require_draw(*images, draw);
    const auto first = fields[1].cast<Pair>(), to = fields[2].cast<Pair>(), sides = fields[3].cast<Pair>();
    require(to.first >= 0 && sides.first >= 0 && to.first + sides.first <= height, "the image must lie in the target");
    require(to.second >= 0 && sides.second >= 0 && to.second + sides.second <= width, "the image must lie in the target");
    crop = {draw, first.first, first.second, sides.first, sides.second};
    corner[0] = to.first;
    corner[1] = to.second;
    factor = fields[4].cast<double>();
  }
  // Rounding keeps the order of numbers, so the largest pixel is the largest one written.
  template <class T>
  double top() const {
    if (crop.rows == 0 || crop.columns == 0) return 0;
    return static_cast<double>(static_cast<T>(std::abs(factor) * images->largest(crop.draw, crop.row, crop.column, crop.rows, crop.columns)));
  }

  const PeriodImages* images;
  Crop crop;
  Index corner[2];
  double factor;
};

// put(image, index) for each of a list, without the GIL; returns their largest values.
template <class T, class Put>
Array<double> place_all(const py::list& list, Index height, Index width, const Put& put) {
  std::vector<Placed> all;
  for (const py::handle& item : list) all.emplace_back(item, height, width);
  std::vector<double> tops;
  run([&](Monitor& monitor) {
    for (const Placed& p : all) {
      put(p, static_cast<Index>(tops.size()), monitor);
      tops.push_back(p.top<T>());
    }
    return 0;
  });
  return array(tops);
}

// As `place_f32` and `place_f64` of _core.
template <class T>
Array<double> place(const py::list& list, Array<T> target, int) {
  require(target.ndim() == 3 && target.writeable() && target.shape(0) == static_cast<py::ssize_t>(list.size()), "target must be a writable [images, rows, columns]");
  const Index height = target.shape(1), width = target.shape(2);
  T* const out = target.mutable_data();
  return place_all<T>(list, height, width, [=](const Placed& p, Index index, Monitor& monitor) {
    T* const image = out + index * height * width;
    std::fill_n(image, p.crop.rows == height && p.crop.columns == width ? 0 : height * width, T(0));
    p.images->crop(p.crop, p.factor, image + p.corner[0] * width + p.corner[1], width, monitor);
  });
}

// The same into the draws of an image on the device, from draw `first` on.
template <class T>
Array<double> place_there(const py::list& list, const DeviceImage& target, Index first) {
  return place_all<T>(list, target.shape()[1], target.shape()[2], [&](const Placed& p, Index index, Monitor& monitor) {
    require(p.images->device() == target.device(), "the images must be on the target's device");
    p.images->place(p.crop, p.factor, target.draw<T>(first + index) + p.corner[0] * target.pitch() + p.corner[1], target.pitch(), monitor);
  });
}

Array<double> place_on_device(const py::list& list, const DeviceImage& target, Index first) {
  require(target.shape().size() == 3 && first >= 0 && first + static_cast<Index>(list.size()) <= target.shape()[0], "no such draws");
  return target.dtype() == std::string("float32") ? place_there<float>(list, target, first) : place_there<double>(list, target, first);
}

// Zeros [draws, rows, columns], to be written before anybody else sees them.
template <class T>
DeviceImage new_image(Index draws, Index rows, Index columns) {
  require(draws >= 1 && rows >= 1 && columns >= 1, "an image must have pixels");
  return run([&](Monitor&) {
    DeviceArray<T> pixels(draws * rows * columns);
    Stream stream;
    pixels.zero(stream);
    stream.wait();
    return DeviceImage(std::move(pixels), {draws, rows, columns}, columns);
  });
}

}  // namespace

void bind_spectral(py::module_& m) {
  py::class_<PeriodImages>(m, "PeriodImages")
      .def_property_readonly("shape", &shape)
      .def("clip", &clip, py::arg("draw"))
      .def("column_energies", &column_energies, py::arg("draw"))
      .def("sums", &sums, py::arg("draw"), py::arg("axis"))
      .def("largest", &largest, py::arg("draw"), py::arg("first"), py::arg("size"))
      .def("waves", &waves, py::arg("draw"), py::arg("frequencies"), py::arg("finer"), py::arg("first"));
  py::class_<Spectra>(m, "Spectra")
      .def_property_readonly("exponents", [](const Spectra& s) { return array(s.exponents()); })
      .def("values", &values)
      .def("quantiles", &quantiles, py::arg("samples"))
      .def("at", &at, py::arg("places"))
      .def("inverse", &inverse)
      .def("blocks", &blocks, py::arg("draw"), py::arg("down"), py::arg("across"));
  py::class_<DeviceSynthesis>(m, "Synthesis")
      .def("pixels", &write_pixels, py::arg("low"), py::arg("step"), py::arg("factor"), py::arg("out").noconvert(), py::arg("threads"))
      .def("put", &put_pixels, py::arg("low"), py::arg("factor"), py::arg("negative"), py::arg("out"), py::arg("draw"))
      .def("sums", &sum_pixels, py::arg("low"), py::arg("size"), py::arg("axis"));
  m.def("synthesis", &make_synthesis, py::arg("values"), py::arg("weights"), py::arg("shape"), py::arg("band"));
  m.def("spectrum", &run_spectrum, py::arg("layers"), py::arg("shape"), py::arg("band"), py::arg("draws"), py::arg("threads"),
        py::arg("memory_limit"), py::arg("progress"));
  m.def("place_f32", &place<float>, py::arg("images"), py::arg("target").noconvert(), py::arg("threads"));
  m.def("place_f64", &place<double>, py::arg("images"), py::arg("target").noconvert(), py::arg("threads"));
  m.def("place_on_device", &place_on_device, py::arg("images"), py::arg("target"), py::arg("first"));
  m.def("new_image_f32", &new_image<float>, py::arg("draws"), py::arg("rows"), py::arg("columns"));
  m.def("new_image_f64", &new_image<double>, py::arg("draws"), py::arg("rows"), py::arg("columns"));
  m.def("load_transforms", &load_transforms, py::arg("paths"));
  m.def("transform_library", &transform_library);
  m.def("images", &bring, py::arg("pixels"), py::arg("memory_limit"));
  m.def("spectra", &make_spectra, py::arg("layers"), py::arg("shape"), py::arg("draws"), py::arg("memory_limit"), py::arg("progress"));
}

}  // namespace erffast::cuda
