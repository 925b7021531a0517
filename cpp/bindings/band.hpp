// The functions of the band-limited engine.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "backend.hpp"
#include "erffast/certificate.hpp"
#include "erffast/laws.hpp"
#include "erffast/synthesis.hpp"
#include "spectral.hpp"

namespace erffast::python {

using Pair = std::pair<Index, Index>;

// values [2 K_y + 1, K_x + 1], weights [K_x + 1]
inline std::unique_ptr<Synthesis> make_synthesis(const Array<Complex>& values, const Array<double>& weights, Pair shape,
                                                 const py::object& band) {
  const Frequencies f = read_frequencies(shape, band);
  require(f.banded && values.ndim() == 2 && values.shape(0) == f.rows() && values.shape(1) == f.columns(), "values must hold the frequencies of the band");
  require(weights.size() == f.columns(), "weights must have one entry per column");
  return std::make_unique<Synthesis>(f, values.data(), weights.data());
}

// Largest and smallest pixel, before those below 0 were set to 0.
inline std::pair<double, double> write_pixels(const Synthesis& synthesis, Pair low, Pair step, double factor, Array<double> out, int threads) {
  require(out.ndim() == 2 && out.size() > 0 && out.writeable() && step.first >= 1 && step.second >= 1, "out must be an image, steps at least 1");
  const Window window{{low.first, low.second}, {out.shape(0), out.shape(1)}, {step.first, step.second}};
  double* o = out.mutable_data();
  Reporter reporter(py::none(), 1);
  const Extremes found = reporter.run([&](Monitor& monitor) { return synthesis.pixels(window, factor, o, threads, monitor); });
  return {found.largest, found.smallest};
}

inline Array<double> sum_pixels(const Synthesis& synthesis, Pair low, Pair size, int axis) {
  require(size.first >= 1 && size.second >= 1 && (axis == 0 || axis == 1), "the window must not be empty, axis 0 or 1");
  const std::vector<double> sums = synthesis.sums({{low.first, low.second}, {size.first, size.second}, {1, 1}}, axis);
  Array<double> out(static_cast<py::ssize_t>(sums.size()));
  std::copy(sums.begin(), sums.end(), out.mutable_data());
  return out;
}

// taps [n, 1 or draws, rows, columns] of one draw: lags [2 rows - 1, 2 columns - 1], sums [rows, n] and [columns, n]
inline py::tuple run_steps(const Array<double>& taps, Index draw, int threads) {
  require(taps.ndim() == 4 && taps.size() > 0 && 0 <= draw && draw < taps.shape(1), "taps must be [n, draws, rows, columns], and have the draw");
  const Index n = taps.shape(0), rows = taps.shape(2), columns = taps.shape(3), area = rows * columns;
  Array<double> lags({2 * rows - 1, 2 * columns - 1}), down({rows, n}), along({columns, n});
  const Kernels2D kernels{taps.data() + draw * area, n, taps.shape(1) * area, rows, columns};
  double *r = lags.mutable_data(), *d = down.mutable_data(), *a = along.mutable_data();
  Reporter reporter(py::none(), 1);
  reporter.run([&](Monitor& monitor) {
    steps(kernels, r, d, a, threads, monitor);
    return 0;
  });
  return py::make_tuple(lags, down, along);
}

// masses [side, n], factors [times, side]; logs [times]
inline Array<double> run_cumulants(const Array<double>& masses, const Array<double>& factors, double least) {
  require(masses.ndim() == 2 && factors.ndim() == 2 && masses.shape(0) == factors.shape(1), "masses must be [side, n], factors [times, side]");
  Array<double> logs(factors.shape(0));
  double* out = logs.mutable_data();
  const double *m = masses.data(), *f = factors.data();
  const Index side = masses.shape(0), n = masses.shape(1), times = factors.shape(0);
  py::gil_scoped_release release;
  tilted(m, side, n, f, times, least, out);
  return logs;
}

// A certificate, and the arrays that keep its pointers alive. Families: (lags, spacing) each.
struct KeptCertificate {
  Certificate certificate;
  std::vector<py::array> keep;
};

inline KeptCertificate read_certificate(const py::list& families, double relative, double absolute) {
  KeptCertificate result{{{}, relative, absolute}, {}};
  for (const py::handle& item : families) {
    const auto fields = item.cast<py::tuple>();
    require(fields.size() == 2, "a family must have two fields");
    const auto values = fields[0].cast<Array<double>>();
    require(values.ndim() == 2 && values.shape(0) % 2 == 1 && values.shape(1) % 2 == 1, "lags must have odd sides");
    Lags lags{values.data(), values.shape(0), values.shape(1), {}};
    read_pair(fields[1], lags.spacing);
    result.certificate.lags.push_back(lags);
    result.keep.push_back(values);
  }
  return result;
}

// places int64 [n, 2], in parts of `whole`
inline Array<double> run_exponents(const py::list& families, double relative, double absolute, Pair whole, const Array<Index>& places) {
  require(places.ndim() == 2 && places.shape(1) == 2 && whole.first >= 1 && whole.second >= 1, "places must be [n, 2], turns positive");
  const KeptCertificate kept = read_certificate(families, relative, absolute);
  Array<double> out(places.shape(0));
  const Index wholes[2] = {whole.first, whole.second};
  double* o = out.mutable_data();
  const Index* p = places.data();
  const Index n = places.shape(0);
  Reporter reporter(py::none(), 1);
  reporter.run([&](Monitor& monitor) {
    exponents(kept.certificate, wholes, p, n, o, monitor);
    return 0;
  });
  return out;
}

// Sums beyond the rows, beside them; whether it is too much; how far each axis reaches.
inline py::tuple run_dropped(const py::list& families, double relative, double absolute, std::pair<double, double> std, Pair shape, Pair band,
                             double budget, Index most_cells) {
  require(shape.first >= 1 && shape.second >= 1 && band.first >= 0 && band.second >= 0, "a period and its band must not be negative");
  const KeptCertificate kept = read_certificate(families, relative, absolute);
  Reporter reporter(py::none(), 1);
  const Dropped found = reporter.run([&](Monitor& monitor) {
    return dropped(kept.certificate, {std.first, std.second}, {shape.first, shape.second}, {band.first, band.second}, budget, most_cells, monitor);
  });
  return py::make_tuple(found.sums[0], found.sums[1], found.too_much, Pair{found.reach[0], found.reach[1]});
}

inline void bind_band(py::module_& m) {
  m.def("steps", &run_steps, py::arg("taps"), py::arg("draw"), py::arg("threads"));
  m.def("cumulants", &run_cumulants, py::arg("masses"), py::arg("factors"), py::arg("least"));
  m.def("exponents", &run_exponents, py::arg("families"), py::arg("relative"), py::arg("absolute"), py::arg("whole"), py::arg("places"));
  m.def("dropped", &run_dropped, py::arg("families"), py::arg("relative"), py::arg("absolute"), py::arg("std"), py::arg("shape"), py::arg("band"),
        py::arg("budget"), py::arg("most_cells"));
  py::class_<Synthesis>(m, "Synthesis")
      .def("pixels", &write_pixels, py::arg("low"), py::arg("step"), py::arg("factor"), py::arg("out").noconvert(), py::arg("threads"))
      .def("sums", &sum_pixels, py::arg("low"), py::arg("size"), py::arg("axis"));
  m.def("synthesis", &make_synthesis, py::arg("values"), py::arg("weights"), py::arg("shape"), py::arg("band"));
}

}  // namespace erffast::python
