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
#include <limits>

#include "aligned.hpp"
#include "band.hpp"
#include "erffast/combine.hpp"
#include "erffast/kernels.hpp"
#include "erffast/threads.hpp"

namespace erffast {
namespace {

// Long strips of few rows, so that the pixels written follow one another: with 48 rows a strip 2147 x 2147 pixels take four times as
// long, waiting for memory.
constexpr Index block_rows = 12;
constexpr Index worth_a_thread = 1'000'000;  // multiply-adds

}  // namespace

Synthesis::Synthesis(const Frequencies& frequencies, const Complex* values, const double* weights)
    : band_(std::make_unique<Band>(frequencies, values, weights)) {}

Synthesis::~Synthesis() = default;

std::vector<double> Synthesis::sums(const Window& window, int axis) const { return band_->sums(window, axis); }

Extremes Synthesis::pixels(const Window& window, double factor, double* out, int threads, Monitor& monitor) const {
  FlushDenormals flush;
  const BandKernels& kernels = *kernel_table().band;
  const Frequencies& f = band_->frequencies();
  const Circle& circle = band_->circle(1);
  const Index height = window.size[0], width = window.size[1], top = f.band[0], n = f.band[1] + 1;
  const Index tile = kernels.tile_columns, half = (width + 1) / 2, tiles = (half + tile - 1) / tile;

  // Sums of the lines along each column are taken for all rows first: a wide band would not stay in the cache.
  const Index lines = 2 * top + 1, pitch = (2 * n + 15) / 16 * 16;
  std::vector<double> columns(static_cast<std::size_t>(lines * pitch)), weights(static_cast<std::size_t>(height * lines));
  band_->lines(window, factor, pitch, columns.data());
  band_->weights(window, weights.data());
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
        const Index nearer = circle.index(k, -2 * window.step[1]);
        Index i = circle.index(k, (width - 1 - 2 * first_of(t)) * window.step[1]);
        for (Index j = 0; j < tile; ++j) {
          wave[j] = circle.cosine(i);
          wave[tile + j] = circle.sine(i);
          if (first_of(t) + j + 1 < half) i = circle.further(i, nearer);
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

}  // namespace erffast
