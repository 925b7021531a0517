#include "spectral/period_product.cuh"

#include "spectral/period_product.hpp"

#include <algorithm>

#include "devices.hpp"
#include "spectral/groups.hpp"
#include "spectral/tables.hpp"
#include "spectral/turns.hpp"

namespace erffast::cuda {
namespace {

constexpr Index wide_blocks = 1024;  // of a launch whose coefficients stand in device memory
constexpr Index least_blocks = 16;   // a multiprocessor, in a launch: below that it is not busy

// Instructions of a quad and a group, about.
Index work_of(const Group& group) { return 32 + 4 * group.half; }

// Cosines and sines of a * k / n turns * 2 pi for a = first .. last of a spacing, k = 0 .. count: [2][a][k].
std::vector<double> waves(Index n, Index spacing, Index first, Index last, Index count) {
  const Turns turns(n);
  const Index lines = last - first + 1;
  std::vector<double> table(static_cast<std::size_t>(2 * lines * count)), cosines, sines;
  const bool many = lines * count > n / 2;  // then a table of all turns is cheaper
  if (many) turns.fill(cosines, sines);
  for (Index a = 0; a < lines; ++a) {
    for (Index k = 0; k < count; ++k) {
      const Index at = turn(turn(k, spacing, n), first + a, n);
      const auto place = static_cast<std::size_t>(a * count + k), other = place + static_cast<std::size_t>(lines * count);
      if (many) {
        table[place] = cosines[static_cast<std::size_t>(at)];
        table[other] = sines[static_cast<std::size_t>(at)];
      } else {
        const ExactComplex z = turns.exact(at);
        table[place] = z.re.hi;
        table[other] = z.im.hi;
      }
    }
  }
  return table;
}

class Product {
 public:
  Product(const std::vector<const Layers*>& layers, const Frequencies& f, Index draws, Stream& stream, Budget* budget)
      : grouped_(layers, draws), stream_(stream), draws_(draws), paired_(f.rows() > 1) {
    const Index half = std::max<Index>(grouped_.largest_half(), 1), down = grouped_.largest_half_y() + 1;
    const Index rows = f.height / 2 + 1, columns = f.width / 4 + 1;
    cut();
    const auto taps = tables_.add(grouped_.taps(), grouped_.doubles());
    const auto folded = tables_.add(folded_layers());
    const auto groups = tables_.add(groups_);
    const auto chunks = tables_.add(chunks_);
    const auto vertical = tables_.add(waves(f.height, grouped_.spacing(0), 0, down - 1, rows));
    const auto horizontal = tables_.add(waves(f.width, grouped_.spacing(1), 1, half, columns));
    tables_.upload(stream_, budget);
    if (wide_) scratch_ = DeviceArray<double>(std::min(blocks(rows, columns), wide_blocks) * scratch_size(), budget);
    input_ = {tables_.at(taps),
              grouped_.shared() ? 0 : grouped_.doubles() / draws,
              tables_.at(folded),
              tables_.at(groups),
              tables_.at(chunks),
              tables_.at(vertical),
              down * rows,
              tables_.at(horizontal),
              half * columns,
              static_cast<int>(half),
              {static_cast<int>(rows), static_cast<int>(columns)},
              static_cast<int>(f.rows()),
              static_cast<int>(f.columns()),
              scratch_.data(),
              scratch_size()};
  }

  void run(Monitor& monitor, const ProductState& state) {
    const auto kernel = paired_ ? (wide_ ? product_kernel<true, true> : product_kernel<true, false>)
                                : (wide_ ? product_kernel<false, true> : product_kernel<false, false>);
    const Index all = blocks(input_.computed[0], input_.computed[1]), chunks = static_cast<Index>(chunks_.size());
    Index work = 0;  // of a block
    for (const Group& g : grouped_.groups()) work += work_of(g) * product_threads;
    // whole products of some blocks as long as these are enough to keep the device busy, else parts of the products
    const Index fewest = std::min({all, least_blocks * limits_of_device().multiprocessors, wide_ ? wide_blocks : all});
    const Index some = std::clamp(launch_work() / work, fewest, wide_ ? wide_blocks : std::max(all, fewest));
    const Index together = std::clamp<Index>(chunks * launch_work() / (some * work), 1, chunks);
    Index done = 0;  // blocks times chunks
    const auto layers_done = [&] { return grouped_.count() * draws_ * done / (all * chunks); };
    for (Index first = 0; first < all; first += some) {
      const Index here = std::min(some, all - first);
      for (Index c = 0; c < chunks; c += together) {
        const Index end = std::min(c + together, chunks), before = layers_done();
        check(launch(kernel, dim3(static_cast<unsigned>(here)), dim3(product_threads), 0, stream_, input_, state, first, static_cast<int>(c),
                     static_cast<int>(end), c == 0),
              "starting the product of transfer functions");
        done += here * (end - c);
        stream_.wait(&monitor, layers_done() - before);
      }
    }
  }

 private:
  Index blocks(Index rows, Index columns) const { return draws_ * rows * ((columns + product_threads - 1) / product_threads); }
  Index scratch_size() const { return wide_ ? 2 + 4 * grouped_.largest_half() : 0; }

  // Groups in chunks that shared memory holds; one by one where a single one does not fit.
  void cut() {
    wide_ = 2 + 4 * grouped_.largest_half() > chunk_doubles;
    int used = 0;
    for (const Group& g : grouped_.groups()) {
      const int size = static_cast<int>(g.size()), index = static_cast<int>(groups_.size());
      const bool full = chunks_.empty() || wide_ || used + size > chunk_doubles || index - chunks_.back().first == product_threads;
      if (full) {
        chunks_.push_back({index, index});
        used = 0;
      }
      groups_.push_back({static_cast<int>(g.first), static_cast<int>(g.layers), static_cast<int>(g.half), used, g.renormalise});
      chunks_.back().last = index + 1;
      used += size;
    }
  }

  std::vector<FoldedLayer> folded_layers() const {
    std::vector<FoldedLayer> result;
    for (Index i = 0; i < grouped_.count(); ++i) {
      const Folded& f = grouped_.folded(0)[i];
      result.push_back({f.even - grouped_.taps(), static_cast<int>(f.half_y), static_cast<int>(f.half_x)});
    }
    return result;
  }

  GroupedLayers grouped_;
  Stream& stream_;
  Index draws_;
  bool paired_, wide_ = false;
  std::vector<GroupOfLayers> groups_;
  std::vector<Chunk> chunks_;
  Tables tables_;
  DeviceArray<double> scratch_;
  ProductInput input_{};
};

}  // namespace

void product(const std::vector<const Layers*>& layers, const Frequencies& frequencies, Index draws, Stream& stream, Budget* budget,
             Monitor& monitor, DeviceSpectrum& target) {
  Product(layers, frequencies, draws, stream, budget).run(monitor, {target.values.data(), target.exponents.data()});
}

}  // namespace erffast::cuda
