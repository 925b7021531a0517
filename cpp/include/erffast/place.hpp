// Images on periods: looked at, and put where they belong.
#pragma once

#include <vector>

#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast {

// An image on a period of height x width, rows `pitch` apart. Row and column `first` of it, cyclically, go to (y, x) of the target,
// `rows` and `columns` of them.
struct Placed {
  const double* pixels;
  Index height, width, pitch;
  Index first[2];
  Index y, x, rows, columns;
  double factor;
};

// target[i, y + j, x + k] = factor * pixel (first[0] + j, first[1] + k) of image i, and 0 elsewhere in the target [images, height, width].
// tops [images]: the largest absolute values written. Throws Cancelled.
template <class T>
void place(const std::vector<Placed>& images, T* target, Index height, Index width, int threads, double* tops, Monitor& monitor);

// Of the rows of an image, `pitch` apart: peaks [rows], their largest absolute values, and energies [rows], their sums of squares.
void weigh(const double* pixels, Index rows, Index columns, Index pitch, double* peaks, double* energies);

}  // namespace erffast
