// Spectra of periods that stay on the device, and what is asked of them there.
#pragma once

#include <memory>
#include <vector>

#include "spectral/images.hpp"

#include "erffast/spectrum.hpp"

namespace erffast::cuda {

// Where the blocks of a spectrum are largest, that modulus, and the sums of all (`probe.Blocks`).
struct SpectrumBlocks {
  std::vector<Index> places;  // [n, 2]
  std::vector<double> largest, sums;
};

class Spectra {
 public:
  // As `spectrum`, for all frequencies of a period.
  Spectra(const std::vector<Layers>& layers, const Frequencies& f, Index draws, Index memory_limit, Monitor& monitor);

  const Frequencies& frequencies() const { return f_; }
  Index draws() const { return draws_; }
  const std::vector<Index>& exponents() const { return exponents_; }

  // values [draws, rows, columns] to the host.
  void values(Complex* out) const;
  // As `quantiles` of the host, but for the order of sums.
  void quantiles(Index samples, Index* places, double* squares) const;
  // out [draws, n]: values at places [draws, n, 2].
  void at(const Index* places, Index n, Complex* out) const;
  // Of one draw, in `down` x `across` blocks of equal size.
  SpectrumBlocks blocks(Index draw, Index down, Index across) const;
  // By cuFFT, which must have been loaded; the spectrum is used up.
  PeriodImages inverse();

 private:
  Frequencies f_;
  Index draws_;
  std::shared_ptr<Session> session_;
  std::vector<Index> exponents_;
  DeviceArray<double2> values_;
};

}  // namespace erffast::cuda
