// Inverse Fourier transforms of half spectra.
#pragma once

#include "erffast/monitor.hpp"
#include "erffast/spectrum.hpp"

namespace erffast {

// Half spectra [images, rows, width / 2 + 1] become images [images, rows, width] in the same memory, whose rows stay
// 2 (width / 2 + 1) doubles apart, divided by the number of pixels. Writes the largest absolute value of each image, and the sums of
// squares of its rows, [images, rows]. The bits of an image depend on nothing but its spectrum. Throws Cancelled or std::bad_alloc.
void inverse_transform(Complex* values, Index images, Index rows, Index width, int threads, double* peaks, double* energies,
                       Monitor& monitor);

}  // namespace erffast
