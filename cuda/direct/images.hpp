// What propagate() gave, still on the device and at the working scale; the questions of erffast._core's Images, answered there.
#pragma once

#include <utility>
#include <vector>

#include "propagate.hpp"

namespace erffast::cuda {

// Sums of |pixel| / peak over the other axis: [rows] for axis 0, [columns] for axis 1.
template <class T>
std::vector<double> mass(const ImageOnDevice<T>& image, int axis);

// The sum of (pixel / peak)**2; 0 for an image of zeros.
template <class T>
double energy(const ImageOnDevice<T>& image);

// The smallest positive |pixel| / peak in rows [y0, y1) and columns [x0, x1) of the image's rectangle; 1 where there is none.
template <class T>
double least(const ImageOnDevice<T>& image, Index y0, Index y1, Index x0, Index x1);

// out [draws, height, width] on the host: factors[d] * pixel at (y0 + i, x0 + j); zero outside a draw's rectangle, and where it would
// be below the range of T. tops [draws]: the largest absolute value of each part.
template <class T>
void write(const std::vector<ImageOnDevice<T>>& images, T* out, Index height, Index width, Index y0, Index x0, const double* factors, double* tops);

// The same on the device, [draws, height, width].
template <class T>
DeviceArray<T> written(const std::vector<ImageOnDevice<T>>& images, Index height, Index width, Index y0, Index x0, const double* factors, double* tops);

}  // namespace erffast::cuda
