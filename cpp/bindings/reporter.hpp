// Progress and Ctrl-C between an engine and Python.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <functional>
#include <utility>

#include "erffast/monitor.hpp"
#include "erffast/threads.hpp"

namespace erffast::python {

namespace py = pybind11;

// The report is made by the calling thread; signals reach Python's main thread only, elsewhere
// PyErr_CheckSignals does nothing. What Python raises is kept and thrown again once the engine has stopped.
class Reporter {
 public:
  Reporter(py::object progress, Index total) : progress_(std::move(progress)), total_(total), state_(FloatingPoint::current()) {}

  std::function<bool(Index, Index)> callback() {
    return [this](Index done, Index total) {
      const FloatingPoint callers(state_);  // Python code must not run with denormals flushed
      py::gil_scoped_acquire gil;
      try {
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (!progress_.is_none()) progress_(done, total);
        return true;
      } catch (...) {
        raised_ = std::current_exception();
        return false;
      }
    };
  }

  // The engine's work, without the GIL.
  template <class Work>
  auto run(Work&& work) {
    Monitor monitor(callback(), total_);
    try {
      py::gil_scoped_release release;
      return work(monitor);
    } catch (const Cancelled&) {
      if (raised_) std::rethrow_exception(raised_);
      throw;
    } catch (const MemoryLimit& limit) {
      PyErr_SetObject(PyExc_MemoryError, py::int_(limit.bytes).ptr());
      throw py::error_already_set();
    }
  }

 private:
  py::object progress_;
  Index total_;
  FloatingPoint::State state_;
  std::exception_ptr raised_;
};

}  // namespace erffast::python
