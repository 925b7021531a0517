// What a sample of frequencies tells of a spectrum: how exact it is, and where its image lies.
//
// Frequencies are drawn at quantiles of the energy |P|^2, so a mean over them is a mean over the energy. There the product is
// made again in double-double arithmetic, which gives the error of the one in doubles; by Parseval's theorem its root mean
// square is that of the image, relative to the image's energy. The derivative of the product along the frequency gives the
// mean position and the spread of the energy, without regard to the period: (1 / P) i dP/dw = sum over layers of
// (sum_a w[a] x[a] e) / (sum_a w[a] e), e = exp(-i w x[a]).
#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <memory>
#include <tuple>

#include "erffast/threads.hpp"
#include "exact_layers.hpp"

namespace erffast {
namespace {

struct Place {
  Index row, column;
};

// Frequencies at the quantiles (i + 1/2) / samples of the energy.
std::vector<Place> chosen(const Frequencies& f, const Complex* values, Index samples) {
  const auto energy = [&](Index row, Index v) {
    const bool once = v == 0 || (!f.banded && v == f.columns() - 1);  // the others stand for their conjugates too
    return (once ? 1.0 : 2.0) * std::norm(values[row * f.columns() + v]);
  };
  std::vector<double> rows(static_cast<std::size_t>(f.rows()), 0.0);
  double total = 0;
  for (Index r = 0; r < f.rows(); ++r) {
    for (Index v = 0; v < f.columns(); ++v) rows[static_cast<std::size_t>(r)] += energy(r, v);
    total += rows[static_cast<std::size_t>(r)];
  }
  std::vector<Place> places;
  double before = 0;  // energy of the rows before r
  Index r = 0;
  for (Index i = 0; i < samples && total > 0; ++i) {
    const double wanted = total * (static_cast<double>(i) + 0.5) / static_cast<double>(samples);
    while (r + 1 < f.rows() && before + rows[static_cast<std::size_t>(r)] <= wanted) before += rows[static_cast<std::size_t>(r++)];
    double sum = before;
    Index v = 0;
    while (v + 1 < f.columns() && sum + energy(r, v) <= wanted) sum += energy(r, v++);
    if (values[r * f.columns() + v] != Complex()) places.push_back({r, v});
  }
  return places;
}

// The whole chain at a few frequencies of one draw.
class Sample {
 public:
  Sample(const Frequencies& f, std::vector<Place> places)
      : f_(f), places_(std::move(places)), n_(static_cast<Index>(places_.size())), kernels_(*kernel_table().exact), vertical_(f.height),
        horizontal_(f.width), product_(n_), exponents_(static_cast<std::size_t>(n_), 0) {
    product_.fill(1.0);
    for (auto& position : positions_) position.assign(static_cast<std::size_t>(n_), Complex());
  }

  void multiply(const Layers& run, Index draw) {
    const std::vector<ExactNumbers>& turns = turns_of(run);
    const Index size = run.height * run.width;
    ExactNumbers z(n_), powered(n_);
    std::vector<Index> exponents;
    for (Index k = 0; k < run.n_kernels; ++k) {
      const double* taps = run.taps + (k * run.tap_draws + (run.tap_draws == 1 ? 0 : draw)) * size;
      z.fill(0.0);
      for (Index t = 0; t < size; ++t) z.add(taps[t], turns[static_cast<std::size_t>(t)], kernels_);
      move(run, taps, turns, z);
      if (run.count == 1) {
        kernels_.multiply_complex(product_.parts(), z.parts(), n_);
      } else {
        power(z, run.count, powered, exponents, kernels_);
        kernels_.multiply_complex(product_.parts(), powered.parts(), n_);
        for (Index i = 0; i < n_; ++i) exponents_[static_cast<std::size_t>(i)] += exponents[static_cast<std::size_t>(i)];
      }
      kernels_.normalise_complex(product_.parts(), exponents_.data(), n_);
    }
  }

  // Adds up |values / product - 1|^2 and the positions.
  void account(const Complex* values, Index exponent, double& error, Complex (&mean)[2], double (&square)[2]) const {
    for (Index i = 0; i < n_; ++i) {
      const Place at = places_[static_cast<std::size_t>(i)];
      const Complex given = values[at.row * f_.columns() + at.column];
      const ExactComplex p = product_.at(i);
      const Index up = std::clamp<Index>(exponents_[static_cast<std::size_t>(i)] - exponent, -2000, 2000);
      const auto apart = [&](const DoubleDouble& part, double value) {
        return (std::ldexp(part.hi, static_cast<int>(up)) - value) + std::ldexp(part.lo, static_cast<int>(up));
      };
      const double re = apart(p.re, given.real()), im = apart(p.im, given.imag());
      error += (re * re + im * im) / std::norm(given);
      for (std::size_t a = 0; a < 2; ++a) {
        mean[a] += positions_[a][static_cast<std::size_t>(i)];
        square[a] += std::norm(positions_[a][static_cast<std::size_t>(i)]);
      }
    }
  }

  Index size() const { return n_; }

 private:
  // exp(-i w x) of each tap of layers of this shape.
  const std::vector<ExactNumbers>& turns_of(const Layers& run) {
    auto& turns = turns_[{run.spacing[0], run.spacing[1], run.height, run.width}];
    if (!turns.empty()) return turns;
    for (Index t = 0; t < run.height * run.width; ++t) {
      ExactNumbers e(n_), x(n_);
      for (Index i = 0; i < n_; ++i) {
        const Place at = places_[static_cast<std::size_t>(i)];
        e.set(i, vertical_.exact(-turn(turn(f_.row_frequency(at.row), run.spacing[0], f_.height), row_of(run, t), f_.height)));
        x.set(i, horizontal_.exact(-turn(turn(at.column, run.spacing[1], f_.width), column_of(run, t), f_.width)));
      }
      kernels_.multiply_complex(e.parts(), x.parts(), n_);
      turns.push_back(std::move(e));
    }
    return turns;
  }

  static Index row_of(const Layers& run, Index tap) { return tap / run.width - (run.height - 1) / 2; }
  static Index column_of(const Layers& run, Index tap) { return tap % run.width - (run.width - 1) / 2; }

  // Adds the mean positions of one kernel's taps, weighted by what each contributes.
  void move(const Layers& run, const double* taps, const std::vector<ExactNumbers>& turns, const ExactNumbers& z) {
    for (Index i = 0; i < n_; ++i) {
      Complex sums[2] = {};
      for (Index t = 0; t < run.height * run.width; ++t) {
        const ExactComplex e = turns[static_cast<std::size_t>(t)].at(i);
        const Complex part = Complex(e.re.hi, e.im.hi) * taps[t];
        sums[0] += part * static_cast<double>(row_of(run, t));
        sums[1] += part * static_cast<double>(column_of(run, t));
      }
      const ExactComplex whole = z.at(i);
      const Complex response = {whole.re.hi, whole.im.hi};
      for (std::size_t a = 0; a < 2; ++a) {
        positions_[a][static_cast<std::size_t>(i)] += sums[a] / response * static_cast<double>(run.spacing[a] * run.count);
      }
    }
  }

  const Frequencies& f_;
  std::vector<Place> places_;
  Index n_;
  const ExactKernels& kernels_;
  Turns vertical_, horizontal_;
  std::map<std::tuple<Index, Index, Index, Index>, std::vector<ExactNumbers>> turns_;
  ExactNumbers product_;
  std::vector<Index> exponents_;
  std::vector<Complex> positions_[2];
};

Probe probe_one(const std::vector<Layers>& layers, const Frequencies& f, Index draw, const Complex* values, Index exponent, Index samples,
                Monitor& monitor, bool polls) {
  Sample sample(f, chosen(f, values, samples));
  for (const Layers& run : layers) {
    sample.multiply(run, draw);
    if (polls) monitor.tick(run.n_kernels * run.height * run.width * samples * 30);
    if (monitor.stopped()) return {};
  }
  double error = 0, square[2] = {};
  Complex mean[2] = {};
  sample.account(values, exponent, error, mean, square);
  const double n = std::max<double>(1, static_cast<double>(sample.size()));
  Probe result{std::sqrt(error / n), {}, {}};
  for (int a = 0; a < 2; ++a) {
    result.centre[a] = mean[a].real() / n;
    result.spread[a] = std::sqrt(std::max(0.0, square[a] / n - result.centre[a] * result.centre[a]));
  }
  return result;
}

}  // namespace

std::vector<Probe> probe(const std::vector<Layers>& layers, const Frequencies& f, Index draws, const Complex* values, const Index* exponents,
                         Index samples, int threads, Monitor& monitor) {
  FlushDenormals flush;
  std::vector<Probe> probes(static_cast<std::size_t>(draws));
  std::atomic<Index> next{0};
  Team team(draws == 1 ? 1 : threads);
  team.run([&](int thread) {
    for (Index d = next++; d < draws && !monitor.stopped(); d = next++) {
      probes[static_cast<std::size_t>(d)] = probe_one(layers, f, d, values + d * f.size(), exponents[d], samples, monitor, thread == 0);
    }
  });
  monitor.throw_if_stopped();
  return probes;
}

}  // namespace erffast
