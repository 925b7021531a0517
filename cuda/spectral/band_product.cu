#include "spectral/band_product.cuh"

#include "spectral/period_product.hpp"

#include <algorithm>
#include <map>

#include "devices.hpp"
#include "spectral/tables.hpp"
#include "spectral/turns.hpp"

namespace erffast::cuda {
namespace {

// As the CPU's, so that products are multiplied in the same order.
constexpr Index most_tasks = 64, least_layers = 64, rows_counted = 8;
constexpr Index wide_blocks = 1024;  // of a launch whose coefficients stand in device memory

class BandProduct {
 public:
  BandProduct(const std::vector<const Layers*>& layers, const Frequencies& f, Index draws, Stream& stream, Budget* budget)
      : f_(f), draws_(draws), stream_(stream), vertical_(f.height), horizontal_(f.width), rows_(f.band[0] + 1) {
    Index size = 2;
    for (const Layers* run : layers) {
      size = std::max(size, 2 + 4 * (run->width / 2));
      add(*run);
    }
    const Index count = static_cast<Index>(layers_.size());
    pieces_ = std::clamp<Index>(most_tasks / (draws * ((rows_ + rows_counted - 1) / rows_counted)), 1, (count + least_layers - 1) / least_layers);
    wide_ = size > band_doubles;
    Tables& t = tables_;
    const auto all = t.add(layers_);
    const auto taps = t.add(taps_), waves = t.add(waves_);
    t.upload(stream, budget);
    if (wide_) scratch_ = DeviceArray<double>(std::min(blocks(), wide_blocks) * size, budget);
    values_ = DeviceArray<double2>(draws * pieces_ * rows_ * 2 * f.columns(), budget);
    exponents_ = DeviceArray<std::int32_t>(values_.size(), budget);
    input_ = {t.at(all),
              static_cast<int>(count),
              t.at(taps),
              t.at(waves),
              static_cast<int>(rows_),
              static_cast<int>(f.columns()),
              static_cast<int>(pieces_),
              wide_ ? 1 : static_cast<int>(band_doubles / size),
              static_cast<int>(size),
              scratch_.data()};
    work_ = count / pieces_ * (24 + 2 * size) * band_threads;
  }

  void run(Monitor& monitor, BandState target) {
    const BandState state{values_.data(), exponents_.data()};
    const Index all = blocks(), some = wide_ ? std::min(all, wide_blocks) : all;
    const int parts = static_cast<int>(std::clamp<Index>(some * work_ / launch_work() + 1, 1, 1 << 20));
    Index done = 0;  // blocks times parts
    const auto layers_done = [&] { return input_.count * draws_ * done / (all * parts); };
    for (Index first = 0; first < all; first += some) {
      const dim3 grid(static_cast<unsigned>(std::min(some, all - first)));
      for (int part = 0; part < parts; ++part) {
        check(launch(wide_ ? band_product_kernel<true> : band_product_kernel<false>, grid, dim3(band_threads), 0, stream_, input_, state, first, part, parts),
              "starting the product in a band");
        const Index before = layers_done();
        done += grid.x;
        stream_.wait(&monitor, layers_done() - before);
      }
    }
    const Index n = draws_ * f_.size();
    check(launch(join_kernel, dim3(static_cast<unsigned>((n + band_threads - 1) / band_threads)), dim3(band_threads), 0, stream_, state,
                 input_.pieces, input_.rows, input_.columns, n, target),
          "joining the product in a band");
    stream_.wait(&monitor);
  }

 private:
  Index blocks() const { return draws_ * pieces_ * rows_ * ((f_.columns() + band_threads - 1) / band_threads); }

  void add(const Layers& run) {
    const Index area = run.height * run.width, down = down_of(run), along = along_of(run);
    for (Index k = 0; k < run.n_kernels; ++k) {
      layers_.push_back({static_cast<Index>(taps_.size()) + k * run.tap_draws * area, run.tap_draws == 1 ? 0 : area, down, along,
                         static_cast<int>(run.height), static_cast<int>(run.width)});
    }
    taps_.insert(taps_.end(), run.taps, run.taps + run.n_kernels * run.tap_draws * area);
  }

  // exp(-i a u) for the rows a of a kernel.
  Index down_of(const Layers& run) {
    return tabled(0, run.spacing[0], run.height, vertical_, rows_, [&](Index a) { return (run.height - 1) / 2 - a; });
  }
  // exp(i j v), j from 1.
  Index along_of(const Layers& run) {
    return tabled(1, run.spacing[1], run.width / 2, horizontal_, f_.columns(), [](Index j) { return j + 1; });
  }

  // Where the waves of `lines` taps of a spacing stand: [cosines, sines][lines][count].
  template <class Tap>
  Index tabled(int axis, Index spacing, Index lines, const Turns& turns, Index count, const Tap& tap) {
    const auto [place, isnew] = tables_of_.try_emplace({axis, spacing, lines}, static_cast<Index>(waves_.size()));
    if (!isnew) return place->second;
    const auto size = static_cast<std::size_t>(lines * count), begin = waves_.size();
    waves_.resize(begin + 2 * size);
    for (Index a = 0; a < lines; ++a) {
      for (Index k = 0; k < count; ++k) {
        const ExactComplex z = turns.exact(turn(turn(k, spacing, turns.size()), tap(a), turns.size()));
        const std::size_t at = begin + static_cast<std::size_t>(a * count + k);
        waves_[at] = z.re.hi;
        waves_[at + size] = z.im.hi;
      }
    }
    return place->second;
  }

  const Frequencies& f_;
  Index draws_;
  Stream& stream_;
  Turns vertical_, horizontal_;
  Index rows_, pieces_ = 1, work_ = 1;  // of a block
  bool wide_ = false;
  std::vector<BandLayer> layers_;
  std::vector<double> taps_, waves_;
  std::map<std::tuple<int, Index, Index>, Index> tables_of_;  // by axis, spacing and lines
  Tables tables_;
  DeviceArray<double> scratch_;
  DeviceArray<double2> values_;
  DeviceArray<std::int32_t> exponents_;
  BandInput input_{};
};

}  // namespace

void band_product(const std::vector<const Layers*>& layers, const Frequencies& frequencies, Index draws, Stream& stream, Budget* budget,
                  Monitor& monitor, DeviceSpectrum& target) {
  BandProduct(layers, frequencies, draws, stream, budget).run(monitor, {target.values.data(), target.exponents.data()});
}

}  // namespace erffast::cuda
