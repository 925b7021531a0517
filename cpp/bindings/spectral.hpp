// The spectral engine's functions.
#pragma once

#include <complex>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "backend.hpp"
#include "erffast/spectrum.hpp"
#include "erffast/combine.hpp"
#include "erffast/place.hpp"

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

// places int64 [draws, samples, 2], sums of squares float64 [draws]
inline std::pair<Array<Index>, Array<double>> run_quantiles(const Array<Complex>& values, std::pair<Index, Index> shape,
                                                            const py::object& band, Index samples, int threads) {
  const Frequencies f = read_frequencies(shape, band);
  require(values.ndim() == 3 && values.shape(1) == f.rows() && values.shape(2) == f.columns(), "values must hold the frequencies of the period");
  require(samples >= 1, "samples must be at least 1");
  const Index draws = values.shape(0);
  Array<Index> places({draws, samples, Index{2}});
  Array<double> squares(draws);
  const Complex* v = values.data();
  Index* p = places.mutable_data();
  double* s = squares.mutable_data();
  py::gil_scoped_release release;
  quantiles(f, v, draws, samples, threads, p, s);
  return {places, squares};
}

// high, low complex128 [draws, n], exponents int64 [draws, n], positions complex128 [draws, moving, 2]
inline py::tuple run_sample(const py::list& list, std::pair<Index, Index> shape, const Array<Index>& places, Index moving, int threads) {
  require(places.ndim() == 3 && places.shape(2) == 2 && places.size() > 0, "places must be [draws, n, 2]");
  require(moving >= 0 && moving <= places.shape(1), "moving must lie between 0 and the number of places");
  require(shape.first >= 1 && shape.second >= 1, "the period must be positive");
  const Index draws = places.shape(0), count = places.shape(1);
  const SpectralLayers layers = read_layers(list, draws);
  Array<Complex> high({draws, count}), low({draws, count}), positions({draws, moving, Index{2}});
  Array<Index> exponents({draws, count});
  const Samples samples{shape.first,          shape.second,       count, draws, moving, places.data(), high.mutable_data(), low.mutable_data(),
                        exponents.mutable_data(), positions.mutable_data()};
  Reporter reporter(py::none(), 1);
  reporter.run([&](Monitor& monitor) {
    sample(layers.layers, samples, threads, monitor);
    return 0;
  });
  return py::make_tuple(high, low, exponents, positions);
}

inline void run_combine(const Array<double>& weights, const Array<double>& lines, Array<double> out, int threads) {
  require(weights.ndim() == 2 && lines.ndim() == 2 && out.ndim() == 2 && weights.shape(1) == lines.shape(0), "weights must be [rows, n], lines [n, pitch]");
  require(out.writeable() && out.shape(0) == weights.shape(0), "out must have one row per row of weights");
  require(lines.shape(1) % 16 == 0 && lines.shape(1) >= out.shape(1), "the lines' length must be a multiple of 16, and no less than the width of out");
  const double* w = weights.data();
  const double* v = lines.data();
  double* o = out.mutable_data();
  Reporter reporter(py::none(), 1);
  reporter.run([&](Monitor& monitor) {
    combine(w, v, lines.shape(0), lines.shape(1), o, out.shape(0), out.shape(1), threads, monitor);
    return 0;
  });
}

// Each image: (pixels [height, width], rows and columns of the period first taken, row and column of the target, rows and columns, factor)
// Returns the largest absolute values written, float64 [images].
template <class T>
Array<double> run_place(const py::list& list, Array<T> target, int threads) {
  require(target.ndim() == 3 && target.writeable() && target.shape(0) == static_cast<py::ssize_t>(list.size()), "target must be a writable [images, rows, columns]");
  std::vector<Placed> images;
  for (const py::handle& item : list) {
    const auto fields = item.cast<py::tuple>();
    require(fields.size() == 5, "an image must have five fields");
    const auto pixels = fields[0].cast<py::array>();  // alive in the list
    constexpr auto size = static_cast<py::ssize_t>(sizeof(double));
    require(py::isinstance<py::array_t<double>>(pixels) && pixels.ndim() == 2 && pixels.size() > 0, "pixels must be float64 [height, width]");
    require(pixels.strides(1) == size && pixels.strides(0) >= 0 && pixels.strides(0) % size == 0, "the pixels of a row must stand side by side");
    Placed p{static_cast<const double*>(pixels.data()), pixels.shape(0), pixels.shape(1), pixels.strides(0) / size, {}, 0, 0, 0, 0, fields[4].cast<double>()};
    read_pair(fields[1], p.first);
    Index corner[2], sides[2];
    read_pair(fields[2], corner);
    read_pair(fields[3], sides);
    p.y = corner[0];
    p.x = corner[1];
    p.rows = sides[0];
    p.columns = sides[1];
    require(p.first[0] >= 0 && p.first[1] >= 0, "the first row and column must not be negative");
    for (int a = 0; a < 2; ++a) {
      require(corner[a] >= 0 && sides[a] >= 0 && corner[a] + sides[a] <= target.shape(a + 1), "the image must lie in the target");
    }
    images.push_back(p);
  }
  T* out = target.mutable_data();
  const Index height = target.shape(1), width = target.shape(2);
  Array<double> tops(target.shape(0));
  double* top = tops.mutable_data();
  Reporter reporter(py::none(), 1);
  reporter.run([&](Monitor& monitor) {
    place(images, out, height, width, threads, top, monitor);
    return 0;
  });
  return tops;
}

// Of the rows of an image: peaks, the largest absolute values, and energies, the sums of squares.
inline void run_weigh(const py::array_t<double>& image, Array<double> peaks, Array<double> energies) {
  constexpr auto size = static_cast<py::ssize_t>(sizeof(double));
  require(image.ndim() == 2 && image.strides(1) == size && image.strides(0) >= 0 && image.strides(0) % size == 0, "image must be [rows, columns], its rows in one piece");
  require(peaks.ndim() == 1 && energies.ndim() == 1 && peaks.size() == image.shape(0) && energies.size() == image.shape(0), "peaks and energies must be [rows]");
  const double* pixels = image.data();
  const Index rows = image.shape(0), columns = image.shape(1), pitch = image.strides(0) / size;
  double* peak = peaks.mutable_data();
  double* energy = energies.mutable_data();
  py::gil_scoped_release release;
  weigh(pixels, rows, columns, pitch, peak, energy);
}

inline void bind_spectral(py::module_& m) {
  m.def("spectrum", &run_spectrum, py::arg("layers"), py::arg("shape"), py::arg("band"), py::arg("draws"), py::arg("threads"),
        py::arg("memory_limit"), py::arg("progress"));
  m.def("quantiles", &run_quantiles, py::arg("values"), py::arg("shape"), py::arg("band"), py::arg("samples"), py::arg("threads"));
  m.def("sample", &run_sample, py::arg("layers"), py::arg("shape"), py::arg("places"), py::arg("moving"), py::arg("threads"));
  m.def("place_f32", &run_place<float>, py::arg("images"), py::arg("target").noconvert(), py::arg("threads"));
  m.def("place_f64", &run_place<double>, py::arg("images"), py::arg("target").noconvert(), py::arg("threads"));
  m.def("weigh", &run_weigh, py::arg("image").noconvert(), py::arg("peaks").noconvert(), py::arg("energies").noconvert());
  m.def("combine", &run_combine, py::arg("weights"), py::arg("lines"), py::arg("out").noconvert(), py::arg("threads"));
}

}  // namespace erffast::python
