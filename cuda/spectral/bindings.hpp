// The spectral engine's functions of _cuda.
#pragma once

#include <pybind11/pybind11.h>

namespace erffast::cuda {

void bind_spectral(pybind11::module_& m);

}  // namespace erffast::cuda
