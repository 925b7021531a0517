// Pixels from a band of frequencies, by sums: first the columns of the band, then the rows of the window.
//
// A band of a deep image has some dozens of frequencies, far fewer than the steps and the idle pixels of a transform of the whole
// period. Frequencies are brought to the middle of the window first: there waves are even (cosines) or odd (sines), so one pair of
// sums serves the pixels to its left and right alike, and vertical frequencies +-k come together too. A row of the window then takes
// K_x + 1 multiply-adds a pixel.
//
// The waves of a row stay in the second-level cache; pixels are written once, with their last factor.
#include "erffast/synthesis.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "aligned.hpp"
#include "erffast/combine.hpp"
#include "erffast/kernels.hpp"
#include "erffast/threads.hpp"
#include "turns.hpp"

namespace erffast {
namespace {

// Long strips of few rows, so that the pixels written follow one another: with 48 rows a strip 2147 x 2147 pixels take four times as
// long, waiting for memory.
constexpr Index block_rows = 12;
constexpr Index worth_a_thread = 1'000'000;  // multiply-adds

Complex times(const Complex& a, const Complex& b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

}  // namespace

// Half turns of a period of n pixels: exp(2 pi i k / (2 n)), from a table.
class Synthesis::Circle {
 public:
  explicit Circle(Index n) : halves_(2 * n) { Turns(halves_).fill(cosines_, sines_); }

  // k * factor half turns
  Index index(Index k, Index factor) const { return turn(k, factor, halves_); }
  // Two of these, added.
  Index further(Index i, Index step) const { return i + step < halves_ ? i + step : i + step - halves_; }
  double cosine(Index i) const { return cosines_[static_cast<std::size_t>(i)]; }
  double sine(Index i) const { return sines_[static_cast<std::size_t>(i)]; }
  Complex wave(Index k, Index factor) const { return {cosine(index(k, factor)), sine(index(k, factor))}; }

  // The sum over `count` pixels from `first` on of their waves of frequency k.
  Complex sum(Index k, Index first, Index count) const {
    if (k == 0) return static_cast<double>(count);
    return wave(k, 2 * first + count - 1) * (sine(index(k, count)) / sine(index(k, 1)));
  }

 private:
  Index halves_;
  std::vector<double> cosines_, sines_;
};

Synthesis::Synthesis(const Frequencies& frequencies, const Complex* values, const double* weights)
    : f_(frequencies), circles_{std::make_unique<Circle>(f_.height), std::make_unique<Circle>(f_.width)} {
  values_.reserve(static_cast<std::size_t>(f_.size()));
  for (Index i = 0; i < f_.size(); ++i) values_.push_back(values[i] * weights[i % f_.columns()]);
}

Synthesis::~Synthesis() = default;

Complex Synthesis::at(Index ky, Index kx) const {
  return values_[static_cast<std::size_t>((ky < 0 ? f_.rows() + ky : ky) * f_.columns() + kx)];
}

Extremes Synthesis::pixels(const Window& window, double factor, double* out, int threads, Monitor& monitor) const {
  FlushDenormals flush;
  const BandKernels& kernels = *kernel_table().band;
  const Index height = window.size[0], width = window.size[1], top = f_.band[0], n = f_.band[1] + 1;
  const Index tile = kernels.tile_columns, half = (width + 1) / 2, tiles = (half + tile - 1) / tile;
  // twice the middle of the window, in half pixels
  const Index middle[2] = {2 * window.low[0] + (height - 1) * window.step[0], 2 * window.low[1] + (width - 1) * window.step[1]};

  // Sums and differences of the frequencies +-k_y, at the middle: [2 K_y + 1] lines of [n] complex numbers. Their sums along each
  // column are taken for all rows first: a wide band would not stay in the cache.
  const Index lines = 2 * top + 1, pitch = (2 * n + 15) / 16 * 16;
  std::vector<double> columns(static_cast<std::size_t>(lines * pitch)), weights(static_cast<std::size_t>(height * lines));
  for (Index kx = 0; kx < n; ++kx) {
    const Complex along = circles_[1]->wave(kx, middle[1]);
    const auto moved = [&](Index ky) { return times(times(factor * at(ky, kx), along), circles_[0]->wave(ky, middle[0])); };
    const auto put = [&](Index line, const Complex& z) {
      columns[static_cast<std::size_t>(line * pitch + 2 * kx)] = z.real();
      columns[static_cast<std::size_t>(line * pitch + 2 * kx + 1)] = z.imag();
    };
    put(0, moved(0));
    for (Index ky = 1; ky <= top; ++ky) {
      const Complex above = moved(ky), below = moved(-ky);
      put(2 * ky - 1, above + below);
      put(2 * ky, {below.imag() - above.imag(), above.real() - below.real()});
    }
  }

  for (Index y = 0; y < height; ++y) {
    double* weight = weights.data() + y * lines;
    *weight++ = 1;
    const Index once = circles_[0]->index(1, (2 * y - (height - 1)) * window.step[0]);
    for (Index k = 1, at = once; k <= top; ++k, at = circles_[0]->further(at, once)) {
      *weight++ = circles_[0]->cosine(at);
      *weight++ = circles_[0]->sine(at);
    }
  }
  std::vector<double> z(static_cast<std::size_t>(height * 2 * n));
  combine(weights.data(), columns.data(), lines, pitch, z.data(), height, 2 * n, threads, monitor);

  const Index blocks = (height + block_rows - 1) / block_rows;
  Team team(height * width * n < worth_a_thread ? 1 : static_cast<int>(std::min<Index>(threads, blocks)));
  // Waves of the left half, from the edge to the middle. The last tile reaches back into the one before, a single one past the middle
  // repeats it.
  const auto first_of = [&](Index t) { return std::max<Index>(std::min(t * tile, half - tile), 0); };
  const Table waves(tiles * n * 2 * tile);
  team.run([&](int thread) {
    for (Index t = first_item(tiles, thread, team.size()); t < first_item(tiles, thread + 1, team.size()); ++t) {
      for (Index k = 0; k < n; ++k) {
        double* wave = waves.data() + (t * n + k) * 2 * tile;
        const Index nearer = circles_[1]->index(k, -2 * window.step[1]);
        Index i = circles_[1]->index(k, (width - 1 - 2 * first_of(t)) * window.step[1]);
        for (Index j = 0; j < tile; ++j) {
          wave[j] = circles_[1]->cosine(i);
          wave[tile + j] = circles_[1]->sine(i);
          if (first_of(t) + j + 1 < half) i = circles_[1]->further(i, nearer);
        }
      }
    }
  });

  constexpr double none = std::numeric_limits<double>::infinity();
  std::vector<Extremes> found(static_cast<std::size_t>(team.size()), Extremes{-none, none});
  team.run([&](int thread) {
    std::vector<double> extremes(static_cast<std::size_t>(2 * kernels.lanes));
    std::vector<double> small(static_cast<std::size_t>(half < tile ? 2 * block_rows * tile : 0));
    std::fill_n(extremes.begin(), kernels.lanes, -none);
    std::fill_n(extremes.begin() + kernels.lanes, kernels.lanes, none);
    const Index first = first_item(blocks, thread, team.size()) * block_rows;
    const Index last = std::min(first_item(blocks, thread + 1, team.size()) * block_rows, height);
    for (Index y = first; y < last && !monitor.stopped(); y += block_rows) {
      const Index rows = std::min(block_rows, last - y);
      const double* sums = z.data() + y * 2 * n;
      for (Index t = 0; t < tiles; ++t) {
        const double* wave = waves.data() + t * n * 2 * tile;
        if (half >= tile) {
          double* row = out + y * width;
          kernels.mirrored(sums, rows, n, wave, row + first_of(t), row + width - 1 - first_of(t), width, extremes.data());
          continue;
        }
        kernels.mirrored(sums, rows, n, wave, small.data(), small.data() + 2 * tile - 1, 2 * tile, extremes.data());
        for (Index i = 0; i < rows; ++i) {
          std::copy_n(small.data() + i * 2 * tile, half, out + (y + i) * width);
          std::copy_n(small.data() + (i + 1) * 2 * tile - half, half, out + (y + i + 1) * width - half);
        }
      }
      if (thread == 0) monitor.tick(rows * half * 2 * n);
    }
    for (Index l = 0; l < kernels.lanes; ++l) {
      Extremes& e = found[static_cast<std::size_t>(thread)];
      e = {std::max(e.largest, extremes[static_cast<std::size_t>(l)]), std::min(e.smallest, extremes[static_cast<std::size_t>(kernels.lanes + l)])};
    }
  });
  monitor.throw_if_stopped();
  Extremes whole = found[0];
  for (const Extremes& e : found) whole = {std::max(whole.largest, e.largest), std::min(whole.smallest, e.smallest)};
  return whole;
}

std::vector<double> Synthesis::sums(const Window& window, int axis) const {
  const int other = 1 - axis;
  const auto across = [&](Index k) { return circles_[other]->sum(k, window.low[static_cast<std::size_t>(other)], window.size[static_cast<std::size_t>(other)]); };
  // one complex number for each frequency k >= 0 along the axis; the sums are real parts of their waves
  std::vector<Complex> line(static_cast<std::size_t>(f_.band[axis] + 1));
  for (Index kx = 0; kx <= f_.band[1]; ++kx) {
    for (Index ky = -f_.band[0]; ky <= f_.band[0]; ++ky) {
      const Complex z = at(ky, kx) * (axis == 0 ? across(kx) : across(ky));
      if (axis == 1) {
        line[static_cast<std::size_t>(kx)] += z;
      } else {
        line[static_cast<std::size_t>(std::abs(ky))] += ky < 0 ? std::conj(z) : z;
      }
    }
  }
  const Circle& circle = *circles_[axis];
  std::vector<double> result(static_cast<std::size_t>(window.size[static_cast<std::size_t>(axis)]));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const Index once = circle.index(2, window.low[static_cast<std::size_t>(axis)] + static_cast<Index>(i));
    Index at = 0;
    double sum = 0;
    for (const Complex& z : line) {
      sum += z.real() * circle.cosine(at) - z.imag() * circle.sine(at);
      at = circle.further(at, once);
    }
    result[i] = sum;
  }
  return result;
}

}  // namespace erffast
