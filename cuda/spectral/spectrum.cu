#include "spectral/align.cuh"

#include "spectral/spectrum.hpp"

#include <algorithm>
#include <map>

#include "fetched.hpp"
#include "spectral/coarse.hpp"
#include "spectral/period_product.hpp"
#include "spectral/repeats_on_device.hpp"

namespace erffast::cuda {
namespace {

ProductState state_of(DeviceSpectrum& s) { return {s.values.data(), s.exponents.data()}; }

void multiply_coarse(const std::vector<const Layers*>& runs, const Frequencies& f, Index draws, Session& session, Monitor& monitor,
                     DeviceSpectrum& target) {
  const CoarseProduct factor(runs, f, draws, session, monitor);
  const Index n = draws * f.size();
  check(launch(multiply_coarse_kernel, grid_for(n), dim3(each_threads), 0, session.stream, state_of(target), factor.view(), n),
        "multiplying a factor of the spectrum");
  session.stream.wait(&monitor);
}

void align(const Frequencies& f, Index draws, Session& session, const ProductState& state, Index* exponents) {
  Stream& stream = session.stream;
  const std::vector<int> none(static_cast<std::size_t>(draws), no_exponent);
  DeviceArray<int> tops(draws, &session.budget);
  tops.from_host(none.data(), draws, stream);
  const dim3 grid(static_cast<unsigned>(draws * ((f.size() + each_block - 1) / each_block))), block(each_threads);
  check(launch(largest_power_kernel, grid, block, 0, stream, state, f.size(), tops.data()), "looking for the largest frequency");
  check(launch(align_kernel, grid, block, 0, stream, state, f.size(), tops.data()), "bringing frequencies to one power of two");
  const std::vector<int> found = fetched(tops, stream);
  for (std::size_t d = 0; d < found.size(); ++d) exponents[d] += found[d] == no_exponent ? 0 : found[d];
}

}  // namespace

DeviceArray<double2> spectrum(const std::vector<Layers>& layers, const Frequencies& f, Index draws, Session& session, Monitor& monitor,
                              Index* exponents) {
  std::fill_n(exponents, draws, 0);
  std::vector<const Layers*> here, powered;
  std::map<std::pair<Index, Index>, std::vector<const Layers*>> elsewhere;
  for (const Layers& run : layers) {
    if (run.count > 1) {
      powered.push_back(&run);
    } else if (f.banded || (run.spacing[0] == 1 && run.spacing[1] == 1)) {
      here.push_back(&run);
    } else {
      elsewhere[{run.spacing[0], run.spacing[1]}].push_back(&run);
    }
  }
  const Index n = draws * f.size();
  DeviceSpectrum result(n, &session.budget);
  if (here.empty()) {
    check(launch(ones_kernel, grid_for(n), dim3(each_threads), 0, session.stream, state_of(result), n), "beginning a spectrum");
  } else {
    (f.banded ? band_product : product)(here, f, draws, session.stream, &session.budget, monitor, result);
  }
  for (const auto& [spacing, runs] : elsewhere) multiply_coarse(runs, f, draws, session, monitor, result);
  if (!powered.empty()) multiply_powers(powered, f, draws, session, monitor, result, exponents);
  align(f, draws, session, state_of(result), exponents);
  return std::move(result.values);
}

}  // namespace erffast::cuda
