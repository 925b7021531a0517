// Inverse Fourier transforms by cuFFT, which is loaded when it is first needed: the module itself does not depend on it.
#pragma once

#include <string>
#include <vector>

#include "spectral/session.hpp"

namespace erffast::cuda {

// The name of the library that goes with the CUDA runtime: its major version is one less.
std::string transform_library();

// Looks for the library at these paths, then where the loader looks. What was found stays. Returns why it cannot be used, or "".
std::string load_transforms(const std::vector<std::string>& paths);

// images [draws, height, width] of half spectra [draws, height, width / 2 + 1], which are overwritten; not divided by the number of pixels.
// The work memory of the transform is within the budget. load_transforms() must have succeeded.
void inverse_transform(double2* values, double* images, Index draws, Index height, Index width, Session& session);

}  // namespace erffast::cuda
