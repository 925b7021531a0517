// The product of transfer functions in a band: few frequencies and very many layers.
//
// A vector holds several vertical frequencies u, for the rows of a layer as for the running products, so that what is composed is
// used as it lies; the frequency v along the row is one number for all of them, and -u comes with u. Layers of 7 x 7 taps take 24
// instructions a column of u, v and -u, and composing their rows, done once for all columns, an eighth of that. To combine the rows
// of several layers first, as the product at all frequencies does, would save a third for 3 x 3 taps and nothing for 7 x 7.
//
// There are fewer blocks of rows than threads could share evenly, so the layers are cut into pieces too; their products are
// multiplied in order at the end. How many there are depends on the frequencies and layers alone, and so do the bits.
#include "band_product.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <memory>

#include "aligned.hpp"
#include "erffast/kernels.hpp"
#include "turns.hpp"

namespace erffast {
namespace {

constexpr Index cached_coefficients = 1 << 12;  // doubles: with the products of some columns they stay in the first-level cache
constexpr Index most_tasks = 64, least_layers = 64;
constexpr Index rows_counted = 8;  // what pieces are counted by: the vectors of all instruction sets divide it
// Bits by which products may grow between two renormalisations: taps are below 1, so a kernel gains at most log2 of its size.
constexpr double safe_bits = 300;

class BandProduct {
 public:
  BandProduct(const std::vector<const Layers*>& layers, const Frequencies& f, Index draws, Monitor& monitor, const Spectrum& target)
      : f_(f), kernels_(*kernel_table().band), lanes_(kernels_.lanes), draws_(draws), monitor_(monitor), target_(target), vertical_(f.height) {
    const Turns horizontal(f.width);
    for (const Layers* run : layers) {
      runs_.push_back({run, count_, waves_along(*run, horizontal)});
      count_ += run->n_kernels;
    }
    rows_ = f.band[0] + 1;
    blocks_ = (rows_ + lanes_ - 1) / lanes_;
    pieces_ = std::clamp<Index>(most_tasks / (draws * ((rows_ + rows_counted - 1) / rows_counted)), 1, (count_ + least_layers - 1) / least_layers);
  }

  void run(Team& team) {
    const Index tasks = draws_ * blocks_ * pieces_;
    std::vector<std::unique_ptr<State>> found(static_cast<std::size_t>(tasks));
    std::atomic<Index> next{0};
    team.run([&](int thread) {
      for (Index task = next++; task < tasks && !monitor_.stopped(); task = next++) {
        const Index piece = task % pieces_, block = task / pieces_ % blocks_, draw = task / pieces_ / blocks_;
        auto state = std::make_unique<State>(f_.columns() * lanes_);
        multiply(draw, block, count_ * piece / pieces_, count_ * (piece + 1) / pieces_, *state, thread == 0);
        if (pieces_ == 1) {
          write(draw, block, &state);
        } else {
          found[static_cast<std::size_t>(task)] = std::move(state);
        }
      }
    });
    monitor_.throw_if_stopped();
    for (Index d = 0; d < draws_ && pieces_ > 1; ++d) {
      for (Index b = 0; b < blocks_; ++b) write(d, b, found.data() + (d * blocks_ + b) * pieces_);
    }
  }

 private:
  struct Waves {
    std::vector<double> cosines, sines;  // [columns, half] of j v
  };

  struct Run {
    const Layers* layers;
    Index first;  // of its kernels, among all
    const Waves* along;
  };

  // Running products [columns][re, im at u, re, im at -u][lanes] and exponents [columns][u, -u][lanes]; 1 at first.
  struct State {
    explicit State(Index columns_lanes) : products(static_cast<std::size_t>(4 * columns_lanes)), exponents(static_cast<std::size_t>(2 * columns_lanes)) {}
    std::vector<double> products;
    std::vector<std::int64_t> exponents;
  };

  const Waves* waves_along(const Layers& run, const Turns& turns) {
    Waves& waves = along_[{run.spacing[1], run.width / 2}];
    if (!waves.cosines.empty() || run.width == 1) return &waves;
    for (Index v = 0; v < f_.columns(); ++v) {
      for (Index j = 1; j <= run.width / 2; ++j) {
        const ExactComplex z = turns.exact(turn(turn(v, run.spacing[1], f_.width), j, f_.width));
        waves.cosines.push_back(z.re.hi);
        waves.sines.push_back(z.im.hi);
      }
    }
    return &waves;
  }

  // Layers [first, last) at one block of rows.
  void multiply(Index draw, Index block, Index first, Index last, State& state, bool polls) const {
    for (Index v = 0; v < f_.columns(); ++v) {
      std::fill_n(state.products.data() + 4 * v * lanes_, lanes_, 1.0);
      std::fill_n(state.products.data() + (4 * v + 2) * lanes_, lanes_, 1.0);
    }
    for (const Run& run : runs_) {
      const Index begin = std::max(first, run.first) - run.first, end = std::min(last - run.first, run.layers->n_kernels);
      if (begin < end) multiply_run(run, draw, block, begin, end, state, polls);
    }
  }

  void multiply_run(const Run& run, Index draw, Index block, Index begin, Index end, State& state,
                    bool polls) const {
    const Layers& layers = *run.layers;
    const Index area = layers.height * layers.width, half = layers.width / 2, size = (2 + 4 * half) * lanes_;
    const double bits = std::log2(static_cast<double>(area)) + 1;
    const Index chunk = std::max<Index>(1, std::min(cached_coefficients / size, static_cast<Index>(safe_bits / bits)));
    const Table cosines(layers.height * lanes_), sines(layers.height * lanes_), rows(chunk * size);
    waves_down(layers, block, cosines.data(), sines.data());
    const Index stride = layers.tap_draws * area;
    const double* taps = layers.taps + (layers.tap_draws == 1 ? 0 : draw) * area;
    for (Index i = begin; i < end && !monitor_.stopped(); i += chunk) {
      const Index n = std::min(chunk, end - i);
      for (Index k = 0; k < n; ++k) {
        kernels_.compose(taps + (i + k) * stride, layers.height, layers.width, cosines.data(), sines.data(), rows.data() + k * size);
      }
      kernels_.multiply(rows.data(), n, half, run.along->cosines.data(), run.along->sines.data(), f_.columns(),
                        state.products.data(), state.exponents.data());
      if (polls) monitor_.tick(n * f_.columns() * size);
    }
  }

  // exp(-i a u) for the rows a of a kernel and a block of u, [height][lanes]; beyond the band the last u again.
  void waves_down(const Layers& layers, Index block, double* cosines, double* sines) const {
    for (Index a = 0; a < layers.height; ++a) {
      for (Index l = 0; l < lanes_; ++l) {
        const Index u = turn(std::min(block * lanes_ + l, rows_ - 1), layers.spacing[0], f_.height);
        const ExactComplex z = vertical_.exact(turn(u, (layers.height - 1) / 2 - a, f_.height));
        cosines[a * lanes_ + l] = z.re.hi;
        sines[a * lanes_ + l] = z.im.hi;
      }
    }
  }

  // The pieces' products of one block of rows, multiplied in order: moduli of 1 to 2 sqrt(2) each, 2**96 together at most.
  void write(Index draw, Index block, const std::unique_ptr<State>* pieces) const {
    for (Index v = 0; v < f_.columns(); ++v) {
      for (Index l = 0; l < std::min(lanes_, rows_ - block * lanes_); ++l) {
        const Index u = block * lanes_ + l;
        for (Index below = 0; below < (u == 0 ? 1 : 2); ++below) {
          const Index at = (draw * f_.rows() + (below ? f_.rows() - u : u)) * f_.columns() + v;
          Complex z = 1;
          Index e = 0;
          for (Index p = 0; p < pieces_; ++p) {
            const double* part = pieces[p]->products.data() + (4 * v + 2 * below) * lanes_ + l;
            z = {z.real() * part[0] - z.imag() * part[lanes_], z.real() * part[lanes_] + z.imag() * part[0]};
            e += pieces[p]->exponents[static_cast<std::size_t>((2 * v + below) * lanes_ + l)];
          }
          const double largest = std::max(std::abs(z.real()), std::abs(z.imag()));
          const int up = largest == 0 ? 0 : std::ilogb(largest);
          target_.values[at] = {std::ldexp(z.real(), -up), std::ldexp(z.imag(), -up)};
          target_.exponents[at] = static_cast<std::int32_t>(e + up);
        }
      }
    }
  }

  const Frequencies& f_;
  const BandKernels& kernels_;
  Index lanes_, draws_;
  Monitor& monitor_;
  Spectrum target_;
  Turns vertical_;
  std::map<std::pair<Index, Index>, Waves> along_;  // by spacing and half
  std::vector<Run> runs_;
  Index count_ = 0, rows_ = 0, blocks_ = 0, pieces_ = 1;
};

}  // namespace

void band_product(const std::vector<const Layers*>& layers, const Frequencies& frequencies, Index draws, Team& team, Monitor& monitor,
                  const Spectrum& target) {
  BandProduct(layers, frequencies, draws, monitor, target).run(team);
}

}  // namespace erffast
