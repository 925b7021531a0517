// Outer products of the CPU: the images of separable results.
#pragma once

#include "arrays.hpp"
#include "erffast/separable.hpp"
#include "reporter.hpp"

namespace erffast::python {

template <class T>
void run_outer(const Array<double>& rows, const Array<double>& columns, int shift, int power, Array<T> out, int threads) {
  require(rows.ndim() == 1 && columns.ndim() == 1 && out.ndim() == 2, "outer takes two vectors and an image");
  require(out.writeable() && out.shape(0) == rows.size() && out.shape(1) == columns.size(), "out must have one row per entry of rows");
  const double* r = rows.data();
  const double* c = columns.data();
  T* o = out.mutable_data();
  Reporter reporter(py::none(), 1);
  reporter.run([&](Monitor& monitor) {
    outer<T>(r, rows.size(), c, columns.size(), shift, power, o, threads, monitor);
    return 0;
  });
}

template <class T>
void bind_outer(py::module_& m, const char* name) {
  m.def(name, &run_outer<T>, py::arg("rows"), py::arg("columns"), py::arg("shift"), py::arg("power"), py::arg("out").noconvert(), py::arg("threads"));
}

}  // namespace erffast::python
