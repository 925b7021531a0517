// The spectral engine: products of transfer functions, frequency by frequency.
#pragma once

#include <complex>
#include <vector>

#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast {

using Complex = std::complex<double>;

// Kernels whose taps are equally far apart. Tap (a, b) stands at (a - (height - 1) / 2, b - (width - 1) / 2) * spacing.
struct Layers {
  const double* taps;  // [n_kernels, tap_draws, height, width], largest tap of each in [0.5, 1)
  Index n_kernels, tap_draws, height, width;
  Index spacing[2];
  Index count;  // how often each is used; above 1 there is one kernel
};

// The frequencies 2 pi (row / height, column / width) of images of height x width pixels. All of them: rows 0 .. height - 1,
// columns 0 .. width / 2, as a real transform has them. Or a band: rows 0 .. band[0], -band[0] .. -1, columns 0 .. band[1].
struct Frequencies {
  Index height, width;  // width is even
  bool banded = false;
  Index band[2] = {0, 0};

  Index rows() const { return banded ? 2 * band[0] + 1 : height; }
  Index columns() const { return banded ? band[1] + 1 : width / 2 + 1; }
  Index size() const { return rows() * columns(); }
  // The frequency of a row, in [0, height).
  Index row_frequency(Index row) const { return banded && row > band[0] ? height - (rows() - row) : row; }
};

// The product of all layers' transfer functions: values [draws, rows, columns] with the largest component of each draw in
// [0.5, 1), times 2**exponents [draws]. Throws Cancelled, MemoryLimit or std::bad_alloc.
void spectrum(const std::vector<Layers>& layers, const Frequencies& frequencies, Index draws, int threads, Index memory_limit,
              Complex* values, Index* exponents, Monitor& monitor);

// Frequencies (row, column) at the quantiles (i + 1/2) / samples of the energy |P|^2 of each draw: a mean over them is a mean over
// the energy. Of an empty spectrum, frequency 0. places [draws, samples, 2]; squares [draws], the sums of |P|^2 over the values given.
void quantiles(const Frequencies& frequencies, const Complex* values, Index draws, Index samples, int threads, Index* places,
               double* squares);

// The product at some frequencies of a period height x width, in double-double arithmetic.
struct Samples {
  Index height, width, count, draws;
  Index moving;         // how many of each draw's, from the first, are asked for positions
  const Index* places;  // [draws, count, 2], rows and columns, any integers
  // Products (high + low) * 2**exponents [draws, count], and [draws, moving, 2] the mean position of what they add up, in input pixels
  // from the centred taps: i P' / P along each axis.
  Complex *high, *low;
  Index* exponents;
  Complex* positions;
};
void sample(const std::vector<Layers>& layers, const Samples& samples, int threads, Monitor& monitor);

}  // namespace erffast
