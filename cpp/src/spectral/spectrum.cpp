// The spectrum of a chain: layers of one spacing on the coarsest grid that holds them, repeats by powers, one exponent at the end.
#include "erffast/spectrum.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "band_product.hpp"
#include "erffast/kernels.hpp"
#include "product.hpp"
#include "repeats.hpp"
#include "sampled.hpp"

namespace erffast {
namespace {

bool repeated(const Layers& run) { return run.count > 1; }

// Rows [0, n) shared out to the team.
template <class Row>
void each_row(Team& team, Index n, Monitor& monitor, Index work, const Row& row) {
  team.run([&](int thread) {
    for (Index r = first_item(n, thread, team.size()); r < first_item(n, thread + 1, team.size()) && !monitor.stopped(); ++r) {
      row(r);
      if (thread == 0) monitor.tick(work);
    }
  });
  monitor.throw_if_stopped();
}

int binary_exponent(const Complex& z) {
  int e;
  std::frexp(std::max(std::abs(z.real()), std::abs(z.imag())), &e);
  return e;
}

Complex scaled(const Complex& z, int e) { return {std::ldexp(z.real(), e), std::ldexp(z.imag(), e)}; }

// The least power of two above all components of a draw; `no_power` where all are zero.
std::vector<Index> largest_powers(const Frequencies& f, Index draws, const Spectrum& spectrum, Team& team, Monitor& monitor) {
  std::vector<Index> tops(static_cast<std::size_t>(draws * f.rows()), no_power);
  each_row(team, draws * f.rows(), monitor, f.columns() * 4, [&](Index row) {
    Index& top = tops[static_cast<std::size_t>(row)];
    for (Index i = row * f.columns(); i < (row + 1) * f.columns(); ++i) {
      const Complex& z = spectrum.values[i];
      if (z != Complex()) top = std::max(top, binary_exponent(z) + Index{spectrum.exponents[i]});
    }
  });
  std::vector<Index> top;
  for (Index d = 0; d < draws; ++d) top.push_back(*std::max_element(tops.begin() + d * f.rows(), tops.begin() + (d + 1) * f.rows()));
  return top;
}

// Brings the largest component of each draw, below 2**top, to [0.5, 1).
void align(const Frequencies& f, const std::vector<Index>& top, const Spectrum& spectrum, Index* exponents, Team& team, Monitor& monitor) {
  const SpectralKernels& kernels = *kernel_table().spectral;
  const auto shift = [&](Index draw) { return top[static_cast<std::size_t>(draw)] == no_power ? 0 : top[static_cast<std::size_t>(draw)]; };
  const Index draws = static_cast<Index>(top.size());
  for (Index d = 0; d < draws; ++d) exponents[d] += shift(d);
  each_row(team, draws * f.rows(), monitor, f.columns() * 4, [&](Index row) {
    const Index at = row * f.columns();
    kernels.scale_row(reinterpret_cast<double*>(spectrum.values + at), spectrum.exponents + at, f.columns(), shift(row / f.rows()));
  });
}

}  // namespace

void spectrum(const std::vector<Layers>& layers, const Frequencies& f, Index draws, int threads, Index memory_limit, Complex* values,
              Index* exponents, Monitor& monitor) {
  FlushDenormals flush;
  const double total = static_cast<double>(draws) * static_cast<double>(f.size());
  if (total * sizeof(std::int32_t) > static_cast<double>(memory_limit)) throw MemoryLimit(static_cast<Index>(std::min(total * 4, 0x1p62)));
  Index kernels = 0;
  for (const Layers& run : layers) kernels += run.n_kernels;
  // a band is small, but its layers are many: below 0.1 ms a thread is not worth its start
  Team team((f.banded ? draws * f.size() * kernels < 400'000 : draws * f.size() < 4000) ? 1 : threads);
  const auto powers = std::make_unique_for_overwrite<std::int32_t[]>(static_cast<std::size_t>(draws * f.size()));
  const Spectrum target{values, powers.get()};
  std::fill_n(exponents, draws, 0);

  std::vector<const Layers*> here;  // on these frequencies themselves
  std::map<std::pair<Index, Index>, std::vector<const Layers*>> elsewhere;
  for (const Layers& run : layers) {
    if (repeated(run)) continue;
    if (f.banded || (run.spacing[0] == 1 && run.spacing[1] == 1)) {
      here.push_back(&run);
    } else {
      elsewhere[{run.spacing[0], run.spacing[1]}].push_back(&run);
    }
  }
  std::vector<Index> top;
  if (here.empty()) {
    std::fill_n(values, draws * f.size(), Complex(1));
    std::fill_n(powers.get(), draws * f.size(), 0);
  } else if (f.banded) {
    band_product(here, f, draws, team, monitor, target);
  } else {
    top = product(here, f, draws, team, monitor, target);
    for (Index& t : top) t += t == no_power ? 0 : 1;  // components below 2
  }
  for (const auto& [spacing, runs] : elsewhere) {
    const Sampled factor(runs, f, draws, team, monitor);
    each_row(team, draws * f.rows(), monitor, f.columns() * 8, [&](Index row) {
      for (Index v = 0; v < f.columns(); ++v) {
        const Index i = row * f.columns() + v;
        const auto [z, e] = factor.at(row / f.rows(), row % f.rows(), v);
        const Complex p = {values[i].real() * z.real() - values[i].imag() * z.imag(), values[i].real() * z.imag() + values[i].imag() * z.real()};
        const int up = p == Complex() ? 0 : binary_exponent(p);
        values[i] = scaled(p, -up);
        powers[i] += e + up;
      }
    });
  }
  std::vector<const Layers*> powered;
  for (const Layers& run : layers) {
    if (repeated(run)) powered.push_back(&run);
  }
  if (!powered.empty()) multiply_powers(powered, f, draws, team, monitor, target, exponents);
  if (top.empty() || !elsewhere.empty() || !powered.empty()) top = largest_powers(f, draws, target, team, monitor);
  align(f, top, target, exponents, team, monitor);
}

}  // namespace erffast
