// Single frequencies of a chain, exactly: how far a spectrum is from them, and where its image lies.
//
// The derivative of the product along the frequency gives the position of what adds up there, without regard to any period:
// i P' / P = sum over layers of (sum_a w[a] x[a] e) / (sum_a w[a] e), e = exp(-i w x[a]). Over the energy its mean is the mean
// position of the image's energy, and its mean square the second moment.
//
// Kernels are folded about their centres, so that a response is two sums with real cosines and sines, one product a tap (12
// operations in double-double arithmetic, against 28 with complex waves). They are folded some at a time, for many frequencies
// of one draw, and stay in the first-level cache, as the running products do in registers (exact.inl).
#include <algorithm>
#include <array>
#include <atomic>
#include <map>

#include "erffast/threads.hpp"
#include "exact_layers.hpp"

namespace erffast {
namespace {

constexpr Index piece = 64;   // frequencies that share a table of waves
constexpr Index folded = 64;  // layers folded at a time

// What kernels of one shape and spacing have in common.
struct Shape {
  explicit Shape(const Layers& run)
      : spacing{run.spacing[0], run.spacing[1]}, half{run.height / 2, run.width / 2}, n_cosine((half[0] + 1) * (half[1] + 1) + half[0] * half[1]),
        n_sine(half[0] * (half[1] + 1) + (half[0] + 1) * half[1]) {}
  auto operator<=>(const Shape&) const = default;

  std::array<Index, 2> spacing, half;
  Index n_cosine, n_sine;
};

// Calls term(y, x, odd_y, odd_x) for every pair of distances from the centre: the terms of the real part, then of the imaginary.
template <class Term>
void each_term(const Shape& shape, const Term& term) {
  const auto block = [&](bool odd_y, bool odd_x) {
    for (Index y = odd_y; y <= shape.half[0]; ++y) {
      for (Index x = odd_x; x <= shape.half[1]; ++x) term(y, x, odd_y, odd_x);
    }
  };
  block(false, false);
  block(true, true);
  block(true, false);
  block(false, true);
}

// Kernels of a run as coefficients of real waves:
//   exp(-i (a u + b v)) over (a, b) = (+-y, +-x) gives  cos cos - (sign a)(sign b) sin sin - i ((sign a) sin cos + (sign b) cos sin).
class Folds {
 public:
  Folds(const Layers& run, Index draw, bool moving) : run_(run), shape_(run), draw_(draw), moving_(moving) {}

  FoldedLayers layers(Index first, Index count) {
    coefficients_.clear();
    moments_.clear();
    for (Index k = first; k < first + count; ++k) {
      const double* taps = run_.taps + (k * run_.tap_draws + (run_.tap_draws == 1 ? 0 : draw_)) * run_.height * run_.width;
      fold_all(taps);
      each_term(shape_, [&](Index y, Index x, bool odd_y, bool odd_x) { term(fold(y, x), odd_y, odd_x); });
      if (!moving_) continue;
      for (int axis = 0; axis < 2; ++axis) {
        each_term(shape_, [&](Index y, Index x, bool odd_y, bool odd_x) { moment(fold(y, x), y, x, axis, odd_y, odd_x); });
      }
    }
    return {coefficients_.data(), moving_ ? moments_.data() : nullptr, count, shape_.n_cosine, shape_.n_sine};
  }

 private:
  // Sums over the taps at (+-y, +-x) [sign of y counted][sign of x counted].
  using Fold = std::array<std::array<DoubleDouble, 2>, 2>;

  double at(const double* taps, Index y, Index x) const {
    const Index a = y + (run_.height - 1) / 2, b = x + (run_.width - 1) / 2;
    return a >= 0 && a < run_.height && b >= 0 && b < run_.width ? taps[a * run_.width + b] : 0;
  }

  // Once for all terms and moments that a pair of distances has part in, nine at most.
  void fold_all(const double* taps) {
    folds_.clear();
    for (Index y = 0; y <= shape_.half[0]; ++y) {
      for (Index x = 0; x <= shape_.half[1]; ++x) folds_.push_back(folded_at(taps, y, x));
    }
  }

  const Fold& fold(Index y, Index x) const { return folds_[static_cast<std::size_t>(y * (shape_.half[1] + 1) + x)]; }

  Fold folded_at(const double* taps, Index y, Index x) const {
    const double pp = at(taps, y, x), pm = x > 0 ? at(taps, y, -x) : 0, mp = y > 0 ? at(taps, -y, x) : 0;
    const double mm = x > 0 && y > 0 ? at(taps, -y, -x) : 0;
    const DoubleDouble p = two_sum(pp, pm), m = two_sum(mp, mm), p_odd = two_sum(pp, -pm), m_odd = two_sum(mp, -mm);
    return {{{p + m, p_odd + m_odd}, {p - m, p_odd - m_odd}}};
  }

  void term(const Fold& f, bool odd_y, bool odd_x) {
    const DoubleDouble c = odd_y || odd_x ? -f[odd_y][odd_x] : f[0][0];
    coefficients_.push_back(c.hi);
    coefficients_.push_back(c.lo);
  }

  // The same for taps times their distance along an axis, whose sign turns even into odd there.
  void moment(const Fold& f, Index y, Index x, int axis, bool odd_y, bool odd_x) {
    const double c = static_cast<double>(axis == 0 ? y : x) * f[odd_y != (axis == 0)][odd_x != (axis == 1)].hi;
    moments_.push_back(odd_y || odd_x ? -c : c);
  }

  const Layers& run_;
  Shape shape_;
  Index draw_;
  bool moving_;
  std::vector<Fold> folds_;
  std::vector<double> coefficients_, moments_;
};

struct Angles {
  Turns vertical, horizontal;
};

// The chain at `piece` frequencies of one draw, or fewer: the last stands for those that lack.
class Piece {
 public:
  Piece(const Angles& angles, const Index* places, Index count, bool moving)
      : angles_(angles), count_(count), moving_(moving), product_(piece), exponents_(piece, 0), positions_(8 * piece, 0.0) {
    product_.fill(1.0);
    for (Index i = 0; i < piece; ++i) places_.push_back({places[2 * std::min(i, count - 1)], places[2 * std::min(i, count - 1) + 1]});
  }

  void multiply(const FoldedLayers& layers, const Layers& run, const ExactKernels& kernels) {
    const double* waves = waves_of(Shape(run), kernels);
    double* sums[4];
    if (moving_) {
      for (int i = 0; i < 4; ++i) sums[i] = positions_.data() + (4 + i) * piece;
      std::fill(sums[0], sums[0] + 4 * piece, 0.0);
    }
    double* const* moved = moving_ ? sums : nullptr;
    if (run.count == 1) {
      kernels.multiply_layers(layers, waves, piece, product_.parts(), exponents_.data(), moved);
    } else {
      ExactNumbers one(piece), powered(piece);
      std::vector<Index> scale(piece, 0), exponents;
      one.fill(1.0);
      kernels.multiply_layers(layers, waves, piece, one.parts(), scale.data(), moved);
      power(one, run.count, powered, exponents, kernels);
      kernels.multiply_complex(product_.parts(), powered.parts(), piece);
      for (std::size_t i = 0; i < piece; ++i) exponents_[i] += exponents[i] + run.count * scale[i];
      kernels.normalise_complex(product_.parts(), exponents_.data(), piece);
    }
    if (!moving_) return;
    for (Index i = 0; i < 4 * piece; ++i) positions_[static_cast<std::size_t>(i)] += static_cast<double>(run.spacing[i / (2 * piece)] * run.count) * sums[0][i];
  }

  // Products [count], and the positions [moving, 2] of the first.
  void write(Complex* high, Complex* low, Index* exponents, Complex* positions, Index moving) const {
    for (Index i = 0; i < count_; ++i) {
      const ExactComplex p = product_.at(i);
      high[i] = {p.re.hi, p.im.hi};
      low[i] = {p.re.lo, p.im.lo};
      exponents[i] = exponents_[static_cast<std::size_t>(i)];
    }
    for (Index i = 0; i < std::min(count_, moving); ++i) {
      const double* at = positions_.data() + i;
      positions[2 * i] = {at[0], at[piece]};
      positions[2 * i + 1] = {at[2 * piece], at[3 * piece]};
    }
  }

 private:
  const double* waves_of(const Shape& shape, const ExactKernels& kernels) {
    std::vector<double>& waves = waves_[shape];
    if (!waves.empty()) return waves.data();
    const std::vector<ExactComplex> down = turns(shape, 0), across = turns(shape, 1);
    waves.resize(static_cast<std::size_t>(2 * piece * (shape.n_cosine + shape.n_sine)));
    double* out = waves.data();
    std::vector<double> factor(2 * piece);
    each_term(shape, [&](Index y, Index x, bool odd_y, bool odd_x) {
      for (Index i = 0; i < piece; ++i) {
        const ExactComplex& a = down[static_cast<std::size_t>(y * piece + i)];
        const ExactComplex& b = across[static_cast<std::size_t>(x * piece + i)];
        const DoubleDouble u = odd_y ? a.im : a.re, v = odd_x ? b.im : b.re;
        out[i] = u.hi;
        out[piece + i] = u.lo;
        factor[static_cast<std::size_t>(i)] = v.hi;
        factor[static_cast<std::size_t>(piece + i)] = v.lo;
      }
      kernels.multiply(out, out + piece, factor.data(), factor.data() + piece, piece);
      out += 2 * piece;
    });
    return waves.data();
  }

  // exp(i w x) at all distances x from the centre along an axis, [half + 1, piece].
  std::vector<ExactComplex> turns(const Shape& shape, std::size_t axis) const {
    const Turns& circle = axis == 0 ? angles_.vertical : angles_.horizontal;
    std::vector<ExactComplex> found;
    for (Index x = 0; x <= shape.half[axis]; ++x) {
      for (const auto& at : places_) found.push_back(circle.exact(turn(turn(at[axis], shape.spacing[axis], circle.size()), x, circle.size())));
    }
    return found;
  }

  const Angles& angles_;
  Index count_;
  bool moving_;
  std::vector<std::array<Index, 2>> places_;
  std::map<Shape, std::vector<double>> waves_;  // [terms, 2, piece]
  ExactNumbers product_;
  std::vector<Index> exponents_;
  std::vector<double> positions_;  // re and im along both axes, and those of one run: [2][4][piece]
};

// All layers at the frequencies [first, last) of one draw.
void sample_some(const std::vector<Layers>& layers, const Samples& s, const Angles& angles, Index draw, Index first, Index last, bool polls,
                 Monitor& monitor) {
  const ExactKernels& kernels = *kernel_table().exact;
  std::vector<Piece> pieces;
  for (Index i = first; i < last; i += piece) {
    pieces.emplace_back(angles, s.places + 2 * (draw * s.count + i), std::min(piece, last - i), i < s.moving);
  }
  for (const Layers& run : layers) {
    Folds folds(run, draw, first < s.moving);
    for (Index k = 0; k < run.n_kernels; k += folded) {
      const FoldedLayers some = folds.layers(k, std::min(folded, run.n_kernels - k));
      for (Piece& p : pieces) p.multiply(some, run, kernels);
      if (polls) monitor.tick(some.n_layers * (some.n_cosine + some.n_sine) * (last - first) * 12);
      if (monitor.stopped()) return;
    }
  }
  for (Index i = first; i < last; i += piece) {
    const Index at = draw * s.count + i, moving = std::max<Index>(s.moving - i, 0);
    pieces[static_cast<std::size_t>((i - first) / piece)].write(s.high + at, s.low + at, s.exponents + at,
                                                                 moving > 0 ? s.positions + 2 * (draw * s.moving + i) : nullptr, moving);
  }
}

}  // namespace

void sample(const std::vector<Layers>& layers, const Samples& samples, int threads, Monitor& monitor) {
  FlushDenormals flush;
  Index reach[2] = {0, 0};
  for (const Layers& run : layers) {
    reach[0] = std::max(reach[0], run.height / 2);
    reach[1] = std::max(reach[1], run.width / 2);
  }
  const Angles angles{Turns(samples.height, samples.count * reach[0]), Turns(samples.width, samples.count * reach[1])};
  // A whole draw a task, so that its kernels are folded once; of few draws, pieces.
  const Index pieces = (samples.count + piece - 1) / piece;
  const Index parts = samples.draws >= 4 * threads ? 1 : pieces, tasks = samples.draws * parts;
  std::atomic<Index> next{0};
  Team team(static_cast<int>(std::min<Index>(tasks, threads)));
  team.run([&](int thread) {
    for (Index task = next++; task < tasks && !monitor.stopped(); task = next++) {
      const Index part = task % parts, first = pieces * part / parts * piece, last = pieces * (part + 1) / parts * piece;
      sample_some(layers, samples, angles, task / parts, first, std::min(last, samples.count), thread == 0, monitor);
    }
  });
  monitor.throw_if_stopped();
}

}  // namespace erffast
