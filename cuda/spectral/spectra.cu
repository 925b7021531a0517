#include "spectral/align.cuh"

#include "spectral/spectra.hpp"

#include <map>
#include <numeric>
#include <optional>

#include "erffast/threads.hpp"
#include "spectral/period_product.hpp"
#include "spectral/repeats.hpp"
#include "spectral/waiting.hpp"

namespace erffast::cuda {
namespace {

unsigned grid_for(Index n) { return static_cast<unsigned>(std::min<Index>((n + each_block - 1) / each_block, 1 << 16)); }

ProductState state_of(DeviceSpectrum& s) { return {s.values.data(), s.exponents.data()}; }

// Layers of one spacing above 1, where their product repeats (cpp/src/spectral/sampled.cpp), multiplied into `target`.
void multiply_coarse(const std::vector<const Layers*>& runs, const Frequencies& f, Index draws, Session& session, Monitor& monitor,
                     DeviceSpectrum& target) {
  const Index sizes[2] = {f.height, f.width};
  Index periods[2], step[2];
  for (int a = 0; a < 2; ++a) {
    const Index spacing = runs[0]->spacing[a] % sizes[a];
    Index common = std::gcd(sizes[a], spacing);
    if (a == 1 && sizes[a] / common % 2 != 0) common /= 2;  // the product wants an even width
    periods[a] = sizes[a] / common;
    step[a] = spacing / common;
  }
  std::vector<Layers> moved;
  std::vector<const Layers*> layers;
  for (const Layers* run : runs) {
    moved.push_back(*run);
    moved.back().spacing[0] = moved.back().spacing[1] = 1;
  }
  for (const Layers& run : moved) layers.push_back(&run);
  const Frequencies own{periods[0], periods[1]};
  DeviceSpectrum factor(draws * own.size(), &session.budget);
  product(layers, own, draws, session.stream, &session.budget, monitor, factor);
  const Coarse coarse{state_of(factor),
                      static_cast<int>(periods[0]),
                      static_cast<int>(periods[1]),
                      {static_cast<int>(step[0]), static_cast<int>(step[1])},
                      static_cast<int>(f.rows()),
                      static_cast<int>(f.columns())};
  const Index n = draws * f.size();
  check(launch(multiply_coarse_kernel, dim3(grid_for(n)), dim3(each_threads), 0, session.stream, state_of(target), coarse, n),
        "multiplying a factor of the spectrum");
  wait(session.stream, monitor);
}

// On the host: `multiply_powers` in double-double arithmetic.
void multiply_on_host(const std::vector<const Layers*>& runs, const Frequencies& f, Index draws, int threads, Stream& stream, Monitor& monitor,
                      DeviceSpectrum& target, Index* exponents) {
  const FlushDenormals flush;
  const Index n = draws * f.size();
  std::vector<Complex> values(static_cast<std::size_t>(n));
  std::vector<std::int32_t> powers(static_cast<std::size_t>(n));
  target.values.to_host(reinterpret_cast<double2*>(values.data()), n, stream);
  target.exponents.to_host(powers.data(), n, stream);
  stream.wait();
  Team team(threads);
  multiply_powers(runs, f, draws, team, monitor, {values.data(), powers.data()}, exponents);
  target.values.from_host(reinterpret_cast<const double2*>(values.data()), n, stream);
  target.exponents.from_host(powers.data(), n, stream);
  stream.wait();
}

}  // namespace

Spectra::Spectra(const std::vector<Layers>& layers, const Frequencies& f, Index draws, int threads, Index memory_limit, Monitor& monitor)
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
    check(launch(ones_kernel, dim3(grid_for(n)), dim3(each_threads), 0, stream, state_of(spectrum), n), "beginning a spectrum");
  } else {
    product(here, f, draws, stream, &session_->budget, monitor, spectrum);
  }
  for (const auto& [spacing, runs] : elsewhere) multiply_coarse(runs, f, draws, *session_, monitor, spectrum);
  if (!powered.empty()) multiply_on_host(powered, f, draws, threads, stream, monitor, spectrum, exponents_.data());
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
