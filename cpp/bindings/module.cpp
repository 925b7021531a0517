// Table of contents of erffast._core.
#include "backend.hpp"
#include "band.hpp"
#include "ceilings.hpp"
#include "outer.hpp"
#include "simulation.hpp"
#include "spectral.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_core, m) {
  m.doc() = "Native CPU engines of erffast; use the functions of the package instead.";
  using erffast::python::Cpu;
  erffast::python::bind<Cpu, float>(m, "ImagesF32", "propagate_f32");
  erffast::python::bind<Cpu, double>(m, "ImagesF64", "propagate_f64");
  erffast::python::bind_propagate<Cpu, double, 2>(m, "propagate_x64");
  erffast::python::bind_outer<float>(m, "outer_f32");
  erffast::python::bind_outer<double>(m, "outer_f64");
  erffast::python::bind_spectral(m);
  erffast::python::bind_band(m);
  erffast::python::bind_ceilings(m);
  erffast::python::bind_simulation(m);
  m.def("build_info", [] {
    py::dict info;
    info["version"] = ERFFAST_VERSION;
    info["compiler"] = ERFFAST_COMPILER;
    info["build_type"] = ERFFAST_BUILD_TYPE;
    info["instruction_set"] = erffast::kernel_table().isa;
    return info;
  });
}
