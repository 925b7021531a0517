// Table of contents of erffast._cuda: functions of _core that run on a GPU, with the same signatures, and what leaves its results there.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <utility>

#include "ceilings.hpp"
#include "check.hpp"
#include "device_image.hpp"
#include "devices.hpp"
#include "direct/bindings.hpp"
#include "erffast/monitor.hpp"
#include "spectral/bindings.hpp"
#include "stream.hpp"

namespace py = pybind11;

namespace {

// Python's BackendUnavailable for what the GPU refuses, and MemoryError with the bytes for what its memory does not hold.
void translate(std::exception_ptr raised) {
  try {
    if (raised) std::rethrow_exception(raised);
  } catch (const erffast::cuda::DeviceError& error) {
    py::set_error(py::module_::import("erffast.errors").attr("BackendUnavailable"), error.what());
  } catch (const erffast::MemoryLimit& limit) {
    py::set_error(PyExc_MemoryError, py::int_(limit.bytes));
  }
}

py::dict devices() {
  const erffast::cuda::Devices all = erffast::cuda::devices();
  py::list found;
  for (const erffast::cuda::Device& d : all.found) {
    py::dict device;
    device["name"] = d.name;
    device["compute_capability"] = std::to_string(d.major) + "." + std::to_string(d.minor);
    device["multiprocessors"] = d.multiprocessors;
    device["memory"] = d.memory;
    found.append(device);
  }
  py::dict result;
  result["error"] = all.error == cudaSuccess ? "" : cudaGetErrorName(all.error);
  result["message"] = all.error == cudaSuccess ? "" : cudaGetErrorString(all.error);
  result["driver"] = all.driver;
  result["runtime"] = all.runtime;
  result["devices"] = found;
  return result;
}

}  // namespace

PYBIND11_MODULE(_cuda, m) {
  m.doc() = "Native CUDA engines of erffast; use the functions of the package instead.";
  py::register_exception_translator(&translate);
  erffast::cuda::bind_device_image(m);
  m.def("devices", &devices);
  m.def("free_memory", [] {
    const erffast::cuda::FreeMemory memory = erffast::cuda::free_memory();
    return std::make_pair(memory.free, memory.total);
  });
  erffast::python::bind_direct_on_gpu(m);
  m.def("multiply_add_rate_f32", &erffast::cuda::multiply_add_rate<float>, py::arg("seconds"));
  m.def("multiply_add_rate_f64", &erffast::cuda::multiply_add_rate<double>, py::arg("seconds"));
  m.def("copy_rate", &erffast::cuda::copy_rate, py::arg("bytes"), py::arg("seconds"));
  m.def("write_rate", &erffast::cuda::write_rate, py::arg("bytes"), py::arg("seconds"));
  m.def("take_device_seconds", [] { return std::exchange(erffast::cuda::device_seconds, 0.0); });
  erffast::cuda::bind_spectral(m);
}
