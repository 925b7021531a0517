// Probes of what the machine can do, for benchmarks. Each takes a fraction of a second, without the GIL.
#pragma once

#include "arrays.hpp"
#include "erffast/ceilings.hpp"

namespace erffast::python {

template <class T>
double run_multiply_adds(int threads, double seconds) {
  py::gil_scoped_release release;
  return multiply_add_rate<T>(threads, seconds);
}

inline double run_copy(Array<double> target, const Array<double>& source, int threads, double seconds) {
  require(target.writeable() && target.size() == source.size() && target.size() > 0, "target and source must have the same length");
  double* to = target.mutable_data();
  const double* from = source.data();
  const Index n = source.size();
  py::gil_scoped_release release;
  return copy_rate(to, from, n, threads, seconds);
}

inline double run_write(Array<double> target, int threads, double seconds) {
  require(target.writeable() && target.size() > 0, "target must be a writable array");
  double* to = target.mutable_data();
  const Index n = target.size();
  py::gil_scoped_release release;
  return write_rate(to, n, threads, seconds);
}

inline void bind_ceilings(py::module_& m) {
  m.def("multiply_add_rate_f32", &run_multiply_adds<float>, py::arg("threads"), py::arg("seconds"));
  m.def("multiply_add_rate_f64", &run_multiply_adds<double>, py::arg("threads"), py::arg("seconds"));
  m.def("copy_rate", &run_copy, py::arg("target").noconvert(), py::arg("source").noconvert(), py::arg("threads"), py::arg("seconds"));
  m.def("write_rate", &run_write, py::arg("target").noconvert(), py::arg("threads"), py::arg("seconds"));
}

}  // namespace erffast::python
