// How a chain is read from NumPy arrays. Python has validated everything already; what would read out of bounds is
// checked again here.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "erffast/step.hpp"

namespace erffast::python {

namespace py = pybind11;

inline constexpr int c_contiguous = py::array::c_style;
template <class T>
using Array = py::array_t<T, c_contiguous>;

inline void require(bool holds, const char* what) {
  if (!holds) throw py::value_error(what);
}

inline void read_pair(const py::handle& pair, Index (&out)[2]) {
  const auto values = pair.cast<std::pair<Index, Index>>();
  out[0] = values.first;
  out[1] = values.second;
}

// One or two values, of images with one or two axes; an image with one is of height 1.
inline void read_axes(const py::handle& values, Index (&out)[2], Index of_height) {
  const auto sequence = py::reinterpret_borrow<py::tuple>(values);
  require(py::isinstance<py::tuple>(values) && (sequence.size() == 1 || sequence.size() == 2), "there must be one value for each axis");
  out[0] = sequence.size() == 1 ? of_height : sequence[0].cast<Index>();
  out[1] = sequence[sequence.size() - 1].cast<Index>();
}

// A chain of runs, and the arrays that keep its pointers alive.
template <class T>
struct Runs {
  std::vector<Run<T>> runs;
  std::vector<py::array> keep;
  std::vector<std::vector<T>> taps;
  std::vector<Index> exponents;  // per draw, of the powers of two taken out of the taps
};

// Taps with the largest of each kernel in [0.5, 1), and the powers of two taken out of it, added to the draws' exponents. So weights
// of any size are normal numbers in any dtype.
template <class T>
std::vector<T> scaled_taps(const Array<double>& taps, const Run<T>& run, std::vector<Index>& exponents) {
  const Index size = taps.size() / (run.n_kernels * run.tap_draws);
  std::vector<T> scaled(static_cast<std::size_t>(taps.size()));
  const double* from = taps.data();
  T* to = scaled.data();
  for (Index kernel = 0; kernel < run.n_kernels * run.tap_draws; ++kernel, from += size, to += size) {
    double peak = 0;
    for (Index t = 0; t < size; ++t) peak = std::max(peak, std::abs(from[t]));
    int e;
    std::frexp(peak, &e);
    const double factor = std::ldexp(1.0, -e);
    const bool exact = std::isnormal(factor);
    for (Index t = 0; t < size; ++t) to[t] = static_cast<T>(exact ? from[t] * factor : std::ldexp(from[t], -e));
    const Index total = e * (run.count / run.n_kernels), draw = kernel % run.tap_draws;
    if (run.tap_draws > 1) {
      exponents[static_cast<std::size_t>(draw)] += total;
    } else {
      for (Index& exponent : exponents) exponent += total;
    }
  }
  return scaled;
}

// Each run: (taps [n_kernels, tap_draws, channels_out or 1, channels_in, rows, columns] or [..., columns], stride, dilation, before,
//            extent or None, growth, count, shared, groups, scale [rows, columns] or [high and low parts, rows, columns] or None)
template <class T>
Runs<T> read_runs(const py::list& list, Index channels, Index draws) {
  Runs<T> result;
  result.exponents.resize(static_cast<std::size_t>(draws));
  for (const py::handle& item : list) {
    const auto fields = item.cast<py::tuple>();
    require(fields.size() == 10, "a run must have ten fields");
    Run<T> run{};
    const auto taps = fields[0].cast<Array<double>>();
    require(taps.ndim() == 5 || taps.ndim() == 6, "taps must have five or six axes");
    for (int axis = 0; axis < taps.ndim(); ++axis) require(taps.shape(axis) > 0, "taps must not be empty");
    read_axes(fields[1], run.stride, 1);
    read_axes(fields[2], run.dilation, 1);
    read_axes(fields[3], run.before, 0);
    run.bounded = !fields[4].is_none();
    if (run.bounded) read_axes(fields[4], run.extent, 1);
    read_axes(fields[5], run.growth, 0);
    run.count = fields[6].cast<Index>();
    const bool shared = fields[7].cast<bool>();
    run.groups = fields[8].cast<Index>();
    run.n_kernels = taps.shape(0);
    run.tap_draws = taps.shape(1);
    run.channels_out = shared ? 0 : taps.shape(2);
    run.channels_in = taps.shape(3);
    run.kernel[0] = taps.ndim() == 5 ? 1 : taps.shape(4);
    run.kernel[1] = taps.shape(taps.ndim() - 1);
    require(run.count >= 1 && (run.n_kernels == 1 || run.n_kernels == run.count), "a run must have one kernel, or one for each step");
    require(run.tap_draws == 1 || run.tap_draws == draws, "taps must be the same for all draws, or one for each");
    for (int axis = 0; axis < 2; ++axis) require(run.stride[axis] >= 1 && run.dilation[axis] >= 1, "stride and dilation must be at least 1");
    result.taps.push_back(scaled_taps(taps, run, result.exponents));
    run.taps = result.taps.back().data();  // a vector's own memory stays where it is when the vector is moved
    if (shared) {
      require(taps.shape(2) == 1 && run.channels_in == 1, "a shared kernel must have one channel");
    } else {
      require(run.channels_out == channels && run.groups >= 1 && channels % run.groups == 0, "the channels of two layers disagree");
      require(run.count == 1 || run.groups * run.channels_in == channels, "a repeated layer must keep its channels");
      channels = run.groups * run.channels_in;
    }
    if (!fields[9].is_none()) {
      const auto scale = fields[9].cast<Array<double>>();
      const bool parted = scale.ndim() == 3 && scale.shape(0) == 2;
      require((scale.ndim() == 2 || parted) && run.count == 1 && run.bounded, "scale must be an image, of a single bounded step");
      run.scale_height = scale.shape(scale.ndim() - 2);
      run.scale_width = scale.shape(scale.ndim() - 1);
      run.scale = scale.data();
      if (parted) run.scale_low = run.scale + run.scale_height * run.scale_width;
      result.keep.push_back(scale);
    }
    result.runs.push_back(run);
  }
  require(!result.runs.empty(), "the chain must not be empty");
  require(channels == 1, "the chain must end in one channel");
  return result;
}

}  // namespace erffast::python
