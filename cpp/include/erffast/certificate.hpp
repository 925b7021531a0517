// A bound on the spectrum of a non-negative chain from its autocorrelation (python/erffast/spectral/certificate.py derives it).
#pragma once

#include <vector>

#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast {

// Autocorrelations [rows, columns], odd sides, lag 0 in the middle, of kernels whose taps lie `spacing` apart.
struct Lags {
  const double* values;
  Index rows, columns;
  Index spacing[2];
};

// S(f) = sum over d of R(d) (1 - cos(f . d)), less a share and an amount that cover its rounding; the spectrum is at most exp(-S / 2).
struct Certificate {
  std::vector<Lags> lags;
  double relative, absolute;
};

// S at the frequencies f = 2 pi (places[i][0] / whole[0], places[i][1] / whole[1]), at least 0: out [n]
void exponents(const Certificate& certificate, const Index (&whole)[2], const Index* places, Index n, double* out, Monitor& monitor);

// Sums of the bound outside a band: over the rows beyond it, and over the columns beyond it in its rows. Upper bounds, unless it is
// too_much: then the sums are of what was looked at, and `reach` are the frequencies per axis at which the bound alone was too much.
struct Dropped {
  double sums[2] = {0, 0};
  bool too_much = false;
  Index reach[2] = {0, 0};
};

// What a band leaves out of a period, sharpened until it is below `budget`, or until it is clear that the band is too narrow.
//   std: of the image along each axis; most_cells: rectangles looked at in one round before a band is given up
Dropped dropped(const Certificate& certificate, const double (&std)[2], const Index (&shape)[2], const Index (&band)[2], double budget,
                Index most_cells, Monitor& monitor);

}  // namespace erffast
