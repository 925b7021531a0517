#include "spectral/align.cuh"

#include "spectral/spectra.hpp"

#include <map>

#include "spectral/coarse.hpp"
#include "spectral/period_product.hpp"
#include "spectral/repeats_on_device.hpp"
#include "spectral/waiting.hpp"

namespace erffast::cuda {
namespace {

ProductState state_of(DeviceSpectrum& s) { return {s.values.data(), s.exponents.data()}; }

void multiply_coarse(const std::vector<const Layers*>& runs, const Frequencies& f, Index draws, Session& session, Monitor& monitor,
                     DeviceSpectrum& target) {
  const CoarseProduct factor(runs, f, draws, session, monitor);
  const Index n = draws * f.size();
  check(launch(multiply_coarse_kernel, grid_for(n), dim3(each_threads), 0, session.stream, state_of(target), factor.view(), n),
        "multiplying a factor of the spectrum");
  wait(session.stream, monitor);
}

}  // namespace

Spectra::Spectra(const std::vector<Layers>& layers, const Frequencies& f, Index draws, Index memory_limit, Monitor& monitor)
    : f_(f), draws_(draws), session_(std::make_shared<Session>(memory_limit)), exponents_(static_cast<std::size_t>(draws), 0) {
  std::vector<const Layers*> here, powered;
  std::map<std::pair<Index, Index>, std::vector<const Layers*>> elsewhere;
  for (const Layers& run : layers) {
    if (run.count > 1) {
      powered.push_back(&run);
    } else if (run.spacing[0] == 1 && run.spacing[1] == 1) {
      here.push_back(&run);
    } else {
      elsewhere[{run.spacing[0], run.spacing[1]}].push_back(&run);
    }
  }
  const Index n = draws * f.size();
  Stream& stream = session_->stream;
  DeviceSpectrum spectrum(n, &session_->budget);
  if (here.empty()) {
    check(launch(ones_kernel, grid_for(n), dim3(each_threads), 0, stream, state_of(spectrum), n), "beginning a spectrum");
  } else {
    product(here, f, draws, stream, &session_->budget, monitor, spectrum);
  }
  for (const auto& [spacing, runs] : elsewhere) multiply_coarse(runs, f, draws, *session_, monitor, spectrum);
  if (!powered.empty()) multiply_powers(powered, f, draws, *session_, monitor, spectrum, exponents_.data());
  align(spectrum);
  values_ = std::move(spectrum.values);
}

void Spectra::align(DeviceSpectrum& spectrum) {
  Stream& stream = session_->stream;
  std::vector<int> tops(exponents_.size(), no_exponent);
  DeviceArray<int> on_device(draws_, &session_->budget);
  on_device.from_host(tops.data(), draws_, stream);
  const Index tiles = (f_.size() + each_block - 1) / each_block;
  const dim3 grid(static_cast<unsigned>(draws_ * tiles)), block(each_threads);
  int* const top = on_device.data();
  check(launch(largest_power_kernel, grid, block, 0, stream, state_of(spectrum), f_.size(), top), "looking for the largest frequency");
  check(launch(align_kernel, grid, block, 0, stream, state_of(spectrum), f_.size(), top), "bringing frequencies to one power of two");
  std::vector<int> found(tops.size());
  on_device.to_host(found.data(), draws_, stream);
  stream.wait();
  for (std::size_t d = 0; d < found.size(); ++d) exponents_[d] += found[d] == no_exponent ? 0 : found[d];
}

void Spectra::values(Complex* out) const {
  values_.to_host(reinterpret_cast<double2*>(out), draws_ * f_.size(), session_->stream);
  session_->stream.wait();
}

}  // namespace erffast::cuda
