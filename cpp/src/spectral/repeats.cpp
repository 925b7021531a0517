// Kernels used many times: z**count in double-double arithmetic, where it matters.
//
// A relative error of z counts `count` times, so z itself must be better than a double: 10,000 equal layers of a double z lose
// 1e-12 of the peak. Squaring in double-double arithmetic needs no logarithm and no angle, and holds for signed kernels, whose
// largest |z| may lie anywhere. Nearly all frequencies of a deep repeat are far below the largest; they are found from a product
// in doubles and set to zero where they are 2**-90 below: of 2**24 frequencies that leaves 2**-66 of the peak.
#include "repeats.hpp"

#include <algorithm>
#include <cmath>

#include "exact_layers.hpp"
#include "sampled.hpp"

namespace erffast {
namespace {

constexpr double negligible_bits = 90;

// Of numbers near 1, or 0. The true size: the larger component, sqrt(2) smaller at most, would be so `count` times.
double log2_of(const Complex& z) { return 0.5 * std::log2(std::norm(z)); }

class Powers {
 public:
  Powers(const std::vector<const Layers*>& runs, const Frequencies& f, Index draws, Monitor& monitor, const Spectrum& target)
      : runs_(runs), f_(f), draws_(draws), monitor_(monitor), target_(target), kernels_(*kernel_table().exact), vertical_(f.height),
        horizontal_(f.width), logs_(static_cast<std::size_t>(draws * f.size())) {}

  void run(Team& team, Index* exponents) {
    estimate(team);
    for (Index d = 0; d < draws_; ++d) {
      const auto first = logs_.begin() + d * f_.size();
      const double top = *std::max_element(first, first + f_.size());
      const Index base = std::isfinite(top) ? static_cast<Index>(std::floor(top)) : 0;
      exponents[d] += base;
      team.run([&](int thread) {
        Row space;
        for (Index r = first_item(f_.rows(), thread, team.size()); r < first_item(f_.rows(), thread + 1, team.size()); ++r) {
          if (monitor_.stopped()) return;
          row(d, r, top, base, space);
          if (thread == 0) monitor_.tick(f_.columns() * 200);
        }
      });
      monitor_.throw_if_stopped();
    }
  }

 private:
  // What a thread works in: one row of frequencies.
  struct Row {
    std::vector<Index> total, exponents;
  };

  // Logarithms of the whole product's size.
  void estimate(Team& team) {
    each_row(team, [&](Index, std::size_t i, Index) {
      logs_[i] = log2_of(target_.values[i]) + target_.exponents[i];
    });
    for (const Layers* run : runs_) {
      const Sampled one({run}, f_, draws_, team, monitor_);
      each_row(team, [&](Index r, std::size_t i, Index v) {
        const auto [z, e] = one.at(r / f_.rows(), r % f_.rows(), v);
        logs_[i] += static_cast<double>(run->count) * (log2_of(z) + e);
      });
    }
  }

  template <class Frequency>
  void each_row(Team& team, const Frequency& frequency) {
    const Index rows = draws_ * f_.rows();
    team.run([&](int thread) {
      for (Index r = first_item(rows, thread, team.size()); r < first_item(rows, thread + 1, team.size()) && !monitor_.stopped(); ++r) {
        for (Index v = 0; v < f_.columns(); ++v) frequency(r, static_cast<std::size_t>(r * f_.columns() + v), v);
        if (thread == 0) monitor_.tick(f_.columns() * 30);
      }
    });
    monitor_.throw_if_stopped();
  }

  // The frequencies of one row from the first to the last that matters.
  void row(Index draw, Index r, double top, Index base, Row& space) const {
    const Index start = (draw * f_.rows() + r) * f_.columns();
    const double* logs = logs_.data() + start;
    Index first = 0, last = f_.columns();
    while (first < last && !(logs[first] >= top - negligible_bits)) ++first;
    while (last > first && !(logs[last - 1] >= top - negligible_bits)) --last;
    for (Index v = 0; v < f_.columns(); ++v) {
      if (v >= first && v < last) continue;
      target_.values[start + v] = {};
      target_.exponents[start + v] = 0;
    }
    if (first == last) return;
    space.total.assign(static_cast<std::size_t>(last - first), 0);
    for (const Layers* run : runs_) {
      ExactNumbers powered(last - first);
      power(transfer(*run, draw, r, first, last), run->count, powered, space.exponents, kernels_);
      for (Index i = 0; i < last - first; ++i) {
        const ExactComplex z = powered.at(i);
        Complex& value = target_.values[start + first + i];
        value = {value.real() * z.re.hi - value.imag() * z.im.hi, value.real() * z.im.hi + value.imag() * z.re.hi};
        int up = 0;
        std::frexp(std::max(std::abs(value.real()), std::abs(value.imag())), &up);
        value = {std::ldexp(value.real(), -up), std::ldexp(value.imag(), -up)};
        space.total[static_cast<std::size_t>(i)] += space.exponents[static_cast<std::size_t>(i)] + up;
      }
    }
    for (Index i = 0; i < last - first; ++i) {
      // Within the negligible bits of `base`, or far below it.
      const Index e = space.total[static_cast<std::size_t>(i)] + target_.exponents[start + first + i] - base;
      target_.exponents[start + first + i] = static_cast<std::int32_t>(std::clamp<Index>(e, -1'000'000'000, 1'000'000'000));
    }
  }

  // One layer's transfer function at the columns [first, last) of a row.
  ExactNumbers transfer(const Layers& run, Index draw, Index r, Index first, Index last) const {
    const double* taps = run.taps + (run.tap_draws == 1 ? 0 : draw) * run.height * run.width;
    const Index u = f_.row_frequency(r);
    ExactNumbers sum(last - first), turns(last - first);
    for (Index b = 0; b < run.width; ++b) {
      ExactComplex c{};  // the column's sum over its rows
      for (Index a = 0; a < run.height; ++a) {
        const ExactComplex z = vertical_.exact(-turn(turn(u, run.spacing[0], f_.height), a - (run.height - 1) / 2, f_.height));
        c.re = multiply_add(c.re, taps[a * run.width + b], z.re);
        c.im = multiply_add(c.im, taps[a * run.width + b], z.im);
      }
      for (Index v = first; v < last; ++v) {
        turns.set(v - first, horizontal_.exact(-turn(turn(v, run.spacing[1], f_.width), b - (run.width - 1) / 2, f_.width)));
      }
      ExactNumbers column(last - first);
      for (Index i = 0; i < last - first; ++i) column.set(i, c);
      kernels_.multiply_complex(turns.parts(), column.parts(), turns.size());
      sum.add(turns, kernels_);
    }
    return sum;
  }

  const std::vector<const Layers*>& runs_;
  const Frequencies& f_;
  Index draws_;
  Monitor& monitor_;
  Spectrum target_;
  const ExactKernels& kernels_;
  Turns vertical_, horizontal_;
  std::vector<double> logs_;  // [draws, rows, columns]
};

}  // namespace

void multiply_powers(const std::vector<const Layers*>& runs, const Frequencies& frequencies, Index draws, Team& team, Monitor& monitor,
                     const Spectrum& target, Index* exponents) {
  Powers(runs, frequencies, draws, monitor, target).run(team, exponents);
}

}  // namespace erffast
