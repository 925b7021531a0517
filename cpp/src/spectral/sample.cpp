// Single frequencies of a chain, exactly: how far a spectrum is from them, and where its image lies.
//
// The derivative of the product along the frequency gives the position of what adds up there, without regard to any period:
// i P' / P = sum over layers of (sum_a w[a] x[a] e) / (sum_a w[a] e), e = exp(-i w x[a]). Over the energy its mean is the mean
// position of the image's energy, and its mean square the second moment.
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

// The whole chain at a few frequencies of one draw.
class Sample {
 public:
  Sample(Index height, Index width, std::vector<Place> places)
      : places_(std::move(places)), n_(static_cast<Index>(places_.size())), kernels_(*kernel_table().exact), vertical_(height),
        horizontal_(width), product_(n_), exponents_(static_cast<std::size_t>(n_), 0) {
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

  // Writes [n] products and [n, 2] positions.
  void write(Complex* high, Complex* low, Index* exponents, Complex* positions) const {
    for (Index i = 0; i < n_; ++i) {
      const ExactComplex p = product_.at(i);
      high[i] = {p.re.hi, p.im.hi};
      low[i] = {p.re.lo, p.im.lo};
      exponents[i] = exponents_[static_cast<std::size_t>(i)];
      for (std::size_t a = 0; a < 2; ++a) positions[2 * i + static_cast<Index>(a)] = positions_[a][static_cast<std::size_t>(i)];
    }
  }

 private:
  // exp(-i w x) of each tap of layers of this shape.
  const std::vector<ExactNumbers>& turns_of(const Layers& run) {
    auto& turns = turns_[{run.spacing[0], run.spacing[1], run.height, run.width}];
    if (!turns.empty()) return turns;
    for (Index t = 0; t < run.height * run.width; ++t) {
      ExactNumbers e(n_), x(n_);
      for (Index i = 0; i < n_; ++i) {
        const Place at = places_[static_cast<std::size_t>(i)];
        e.set(i, vertical_.exact(-turn(turn(at.row, run.spacing[0], vertical_.size()), row_of(run, t), vertical_.size())));
        x.set(i, horizontal_.exact(-turn(turn(at.column, run.spacing[1], horizontal_.size()), column_of(run, t), horizontal_.size())));
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

  std::vector<Place> places_;
  Index n_;
  const ExactKernels& kernels_;
  Turns vertical_, horizontal_;
  std::map<std::tuple<Index, Index, Index, Index>, std::vector<ExactNumbers>> turns_;
  ExactNumbers product_;
  std::vector<Index> exponents_;
  std::vector<Complex> positions_[2];
};

}  // namespace

void quantiles(const Frequencies& f, const Complex* values, Index samples, Index* places) {
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
  double before = 0;  // energy of the rows before r
  Index r = 0;
  for (Index i = 0; i < samples; ++i) {
    const double wanted = total * (static_cast<double>(i) + 0.5) / static_cast<double>(samples);
    while (r + 1 < f.rows() && before + rows[static_cast<std::size_t>(r)] <= wanted) before += rows[static_cast<std::size_t>(r++)];
    double sum = before;
    Index v = 0;
    while (v + 1 < f.columns() && sum + energy(r, v) <= wanted) sum += energy(r, v++);
    places[2 * i] = f.row_frequency(total > 0 ? r : 0);
    places[2 * i + 1] = total > 0 ? v : 0;
  }
}

void sample(const std::vector<Layers>& layers, const Samples& samples, int threads, Monitor& monitor) {
  FlushDenormals flush;
  constexpr Index most = 32;  // frequencies at a time: whole vectors, and work for every thread
  const Index pieces = (samples.count + most - 1) / most;
  std::atomic<Index> next{0};
  Team team(static_cast<int>(std::min<Index>(samples.draws * pieces, threads)));
  team.run([&](int thread) {
    for (Index task = next++; task < samples.draws * pieces && !monitor.stopped(); task = next++) {
      const Index draw = task / pieces, first = draw * samples.count + task % pieces * most;
      const Index last = std::min(first + most, (draw + 1) * samples.count);
      std::vector<Place> places;
      for (Index i = first; i < last; ++i) places.push_back({samples.places[2 * i], samples.places[2 * i + 1]});
      Sample some(samples.height, samples.width, std::move(places));
      for (const Layers& run : layers) {
        some.multiply(run, draw);
        if (thread == 0) monitor.tick(run.n_kernels * run.height * run.width * most * 30);
        if (monitor.stopped()) return;
      }
      some.write(samples.high + first, samples.low + first, samples.exponents + first, samples.positions + 2 * first);
    }
  });
  monitor.throw_if_stopped();
}

}  // namespace erffast
