// Many different 1-D layers: as many as fit into 32 taps are composed into one kernel, 15 of three taps, and the image takes those.
//
// A layer then costs the image two multiply-adds a pixel in a tile of registers, where three in a loop over its taps would cost
// one load each. Kernels are composed in double-double arithmetic, so that 15 layers have 31 roundings together, not 45.
#include "distinct.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "erffast/kernels.hpp"

namespace erffast {
namespace {

constexpr Index groups_between_trims = 8;

// Composes kernels into one.
class Composite {
 public:
  explicit Composite(const Layers1d& layers) : layers_(layers), kernel_(static_cast<std::size_t>(layers.taps)) {
    const Index side = layers.taps - 1;
    most_ = side == 0 ? layers.count : std::max<Index>((taps_at_once - 1) / side, 1);
    margin_ = side;
    pitch_ = margin_ + std::max(taps_at_once, layers.taps) + margin_ + 2 * overrun;
    now_.assign(static_cast<std::size_t>(2 * pitch_), 0.0);
    next_ = now_;
    weights_.resize(static_cast<std::size_t>(layers.taps));
  }

  // The layers from `first` on, as many as fit; `count` is their number.
  Sequence compose(Index first, Index& count) {
    count = std::min(most_, layers_.count - first);
    Index n = 1, exponent = 0;
    for (auto* parts : {&now_, &next_}) std::fill(parts->begin(), parts->end(), 0.0);
    now_[static_cast<std::size_t>(margin_)] = 0x1p800;
    for (Index i = first; i < first + count; ++i) {
      layers_.read(i, kernel_.data());
      exponent += normalise();
      for (Index t = 0; t < layers_.taps; ++t) weights_[static_cast<std::size_t>(t)] = {now_.data() + margin_ - t, kernel_[static_cast<std::size_t>(t)]};
      n += layers_.taps - 1;
      kernel_table().exact->fir(next_.data() + margin_, pitch_, weights_.data(), layers_.taps, pitch_, n);
      // the sums reach beyond the end, where the next layer expects zeros; they were zeros, for all that is read there is
      std::swap(now_, next_);
    }
    Sequence s;
    s.values.assign(now_.begin() + margin_, now_.begin() + margin_ + n);
    s.exponent = exponent - 800;
    s.rounding = count > 1 ? 0x1p-53 + static_cast<double>(count) * 0x1p-93 : 0;
    return s;
  }

 private:
  // Brings the kernel's sum below 1 by a power of two; returns what was taken out.
  int normalise() {
    double sum = 0;
    for (double v : kernel_) sum += v;
    const int e = binary_exponent(sum);
    for (double& v : kernel_) v = std::ldexp(v, -e);
    return e;
  }

  const Layers1d& layers_;
  Index most_, margin_, pitch_;
  std::vector<double> kernel_, now_, next_;  // now, next: [high and low parts, pitch], values between margins of zeros
  std::vector<Tap<double>> weights_;
};

// The image while it takes kernel after kernel: values between zeros, in one of two buffers.
class Filter {
 public:
  Filter(Sequence image, const Products& products) : image_(std::move(image)), products_(products) { load(); }

  void take(const Sequence& kernel) {
    int e;
    if (!scaled_taps(kernel, e)) {  // so far apart that some would underflow beside a sum below 1
      image_ = products_.of(result(), kernel);
      return load();
    }
    const Index size = image_.size(), n = size + kernel.size() - 1;
    products_.require(2 * n);
    make_room(n);
    products_.sums(now_.data() + margin_, size, taps_, kernel.size(), next_.data() + margin_, n);
    std::fill(next_.begin() + margin_ + n, next_.end(), 0.0);
    std::swap(now_, next_);
    image_.values.resize(static_cast<std::size_t>(n));
    image_.origin += kernel.origin;
    image_.exponent += kernel.exponent + e;
    image_.rounding += kernel.rounding + sum_rounding(kernel.size());
  }

  // What has come of it, with its accounts.
  Sequence& result() {
    std::copy_n(now_.begin() + margin_, image_.size(), image_.values.begin());
    rescale(image_);
    return image_;
  }

  // Takes the values of `result` as they are now.
  void load() {
    now_.assign(static_cast<std::size_t>(margin_), 0.0);
    now_.insert(now_.end(), image_.values.begin(), image_.values.end());
    next_.assign(static_cast<std::size_t>(margin_), 0.0);
    make_room(image_.size());
  }

 private:
  static constexpr Index margin_ = outputs_at_once + 2 * taps_at_once;

  // The taps, brought to a sum in [1/2, 1) by a power of two 2**-e, and zeros behind them.
  bool scaled_taps(const Sequence& kernel, int& e) {
    double sum = 0, least = std::numeric_limits<double>::infinity();
    for (double v : kernel.values) {
      sum += v;
      if (v > 0) least = std::min(least, v);
    }
    if (kernel.size() > taps_at_once || !(least > 0x1p-900 * sum)) return false;
    e = binary_exponent(sum);
    taps_.assign(static_cast<std::size_t>(taps_at_once), 0.0);
    std::copy(kernel.values.begin(), kernel.values.end(), taps_.begin());
    times_power(taps_, -e);
    return true;
  }

  // Zeros behind the values, as far as a tile of n outputs reads and writes.
  void make_room(Index n) {
    const auto wanted = static_cast<std::size_t>(margin_ + (n + outputs_at_once - 1) / outputs_at_once * outputs_at_once);
    now_.resize(wanted, 0.0);
    next_.resize(wanted, 0.0);
  }

  Sequence image_;  // its values are those of the last `result`, but as many as there are now
  const Products& products_;
  std::vector<double> now_, next_, taps_;
};

}  // namespace

Sequence filtered(Sequence image, const Layers1d& layers, double trim_share, const Composing& composing, const Products& products, Monitor& monitor) {
  Composite composite(layers);
  Filter filter(std::move(image), products);
  Index groups = 0, since = 0;
  for (Index done = 0, count; done < layers.count; done += count) {
    filter.take(composite.compose(done, count));
    since += count;
    if (++groups % groups_between_trims == 0 || done + count == layers.count) {
      Sequence& now = filter.result();
      trim(now, trim_share * static_cast<double>(std::exchange(since, 0)) / static_cast<double>(layers.count));
      if (composing.keeps_mass) drop_faint(now);
      filter.load();
    }
    monitor.add_done(count);
  }
  return filter.result();
}

}  // namespace erffast
