// The direct engine: a chain of backward steps, groups of layers through the pipeline where they fit it, others one by one.
//
// The working image is rescaled by powers of two only, and for free: the factor that keeps the next peak below
// 2**peak_exponent is multiplied into the taps, which is exact. Rows are shared out to threads; each pixel is one sum in a
// fixed order and every reduction is made in a fixed order too, so the bits do not depend on the number of threads.
#include "erffast/propagate.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "direct/accounts.hpp"
#include "direct/backward_step.hpp"
#include "direct/groups.hpp"
#include "direct/pipeline.hpp"
#include "direct/scaled_taps.hpp"
#include "direct/trim.hpp"
#include "erffast/separable.hpp"
#include "sharing.hpp"

namespace erffast {
namespace {

// One draw on its way from the output to the input.
template <class T, int parts>
class Chain {
  using Step = BackwardStep<T, parts>;
  struct Layer {
    const Run<T>* run;
    ScaledTaps<T> taps;
    int exponent;
  };

 public:
  Chain(const std::vector<Run<T>>& runs, const Options& options, Index plane_limit, const Sharing& sharing)
      : runs_(runs), options_(options), limit_(plane_limit), sharing_(sharing), kernels_(kernels_of<T>(kernel_table())) {
    for (const Run<T>& run : runs) {
      margin_ = std::max(margin_, Step::margin(run));
      layers_ += run.count;
      keeps_mass_ = keeps_mass_ && !run.bounded;
    }
    scratch_.resize(static_cast<std::size_t>(sharing_.size()));
    buffers_.resize(scratch_.size());
    if (options.trim == 0) reserve();
  }

  Image<T> run(Index draw) {
    start();
    Position at;
    while (at.run < runs_.size() && !now_.empty()) {
      const Run<T>& run = runs_[at.run];
      if (parts == 1 && fusible(run, now_.rect(), now_.channels())) {
        at = group(at, draw);
      } else {
        composes(run) ? compose(run, draw) : steps(run, draw);
        at = {at.run + 1, 0};
      }
    }
    return finish();
  }

 private:
  // Room for the whole image, where its size is known: chains on the plane without strides.
  void reserve() {
    double height = 1, width = 1;  // the user's numbers: their sums may exceed 64 bits
    for (const Run<T>& run : runs_) {
      if (run.bounded || run.stride[0] != 1 || run.stride[1] != 1 || run.channels_out > 1 || run.channels_in > 1) return;
      height += static_cast<double>(run.count) * static_cast<double>(run.dilation[0]) * static_cast<double>(run.kernel[0] - 1);
      width += static_cast<double>(run.count) * static_cast<double>(run.dilation[1]) * static_cast<double>(run.kernel[1] - 1);
    }
    now_.reserve(height, width, margin_, limit_);
    next_.reserve(height, width, margin_, limit_);
  }

  void start() {
    now_.reshape(options_.channels, {options_.unit[0], options_.unit[1], 1, 1}, margin_, limit_);
    for (Index c = 0; c < options_.channels; ++c) {
      now_.row(c, 0)[0] = static_cast<T>(std::ldexp(1.0, peak_exponent<T>));
      if constexpr (parts == 2) now_.row(c, 0)[now_.low()] = T(0);
      now_.clear_margins(c, 0);
    }
    accounts_ = {};
    peak_ = std::ldexp(1.0, peak_exponent<T>);
  }

  void steps(const Run<T>& run, Index draw) {
    std::unique_ptr<ScaledTaps<T>> taps;
    for (Index i = 0; i < run.count && !now_.empty(); ++i) {
      if (!taps || run.n_kernels > 1) taps = std::make_unique<ScaledTaps<T>>(run, i, draw);
      if (run.scale != nullptr) rescale(run);
      if (peak_ == 0) return now_.clear();
      const int e = peak_exponent<T> - (Magnitude(peak_) * taps->gain()).exponent;
      convolve(run, taps->scaled(e));
      accounts_.add_layer(*taps, e);
      if (run.bounded) clip({0, 0, run.extent[0] + i * run.growth[0], run.extent[1] + i * run.growth[1]});
      if (!now_.empty()) trim(1);
      sharing_.monitor().add_done(1);
    }
  }

  // The layers from `from` on that go through the pipeline together; returns the place after them.
  Position group(Position from, Index draw) {
    for (std::size_t most = most_layers;; most = group_.size() / 2) {
      const Position after = gather(from, draw, most);
      const double peak = pass();
      if (lost_range<T>(peak, group_.size())) continue;
      std::swap(now_, next_);
      peak_ = peak;
      for (const Layer& layer : group_) accounts_.add_layer(layer.taps, layer.exponent);
      const Index layers = static_cast<Index>(group_.size());
      peak_ == 0 ? now_.clear() : trim(layers);
      sharing_.monitor().add_done(layers);
      return after;
    }
  }

  // Fills `group_`.
  Position gather(Position from, Index draw, std::size_t most) {
    group_.clear();
    PeakBound<T> bound(peak_);
    return gather_group(runs_, from, now_.rect(), most, [&](const Run<T>& run, Index step) {
      ScaledTaps<T> taps(run, step, draw);
      const int exponent = bound.next(taps.gain());
      group_.push_back({&run, std::move(taps), exponent});
    });
  }

  // Leads the image through the layers of `group_`, bands of rows shared out; leaves the result in next_ and returns its peak.
  double pass() {
    std::vector<Stage<T>> stages;
    Rect rect = now_.rect();
    for (Layer& layer : group_) {
      const Run<T>& run = *layer.run;
      stages.push_back({layer.taps.scaled(layer.exponent), run.kernel[0], run.kernel[1], run.dilation[1]});
      rect.y0 -= run.before[0];
      rect.x0 -= run.before[1];
    }
    const Pipeline<T> pipeline(now_, std::move(stages), kernels_);
    rect.height = pipeline.height();
    rect.width = pipeline.width();
    next_.reshape(1, rect, margin_, limit_);
    return shared_out(rect.height, 5 * pipeline.early(), pipeline.work(), [&](int thread, Index first, Index last, const auto& poll) {
      return pipeline.rows(next_, first, last, buffers_[static_cast<std::size_t>(thread)], poll);
    });
  }

  template <class Job>
  double shared_out(Index items, Index least, Index work, const Job& job) {
    const double peak = static_cast<double>(sharing_.largest<T>(items, least, work, job));
    if (!std::isfinite(peak)) throw std::runtime_error("internal error: the working image overflowed");
    return peak;
  }

  // The step itself, rows shared out; leaves the result in now_ and its peak in peak_.
  void convolve(const Run<T>& run, const T* taps) {
    const Step step(run, taps, now_, kernels_);
    const Rect rect = step.full_rect();
    next_.reshape(step.channels(), rect, margin_, limit_);
    const Index rows = step.channels() * rect.height;
    peak_ = shared_out(rows, 64, step.work(), [&](int thread, Index first, Index last, const auto& poll) {
      return step.rows(next_, first, last, scratch_[static_cast<std::size_t>(thread)], poll);
    });
    std::swap(now_, next_);
    if (peak_ == 0) now_.clear();
  }

  // Drops what lies outside the map and accounts for it.
  void clip(const Rect& map) {
    const Rect& r = now_.rect();
    if (now_.empty()) return;
    const Index y0 = std::max<Index>(0, -r.y0), y1 = std::min(r.height, map.height - r.y0);
    const Index x0 = std::max<Index>(0, -r.x0), x1 = std::min(r.width, map.width - r.x0);
    if (y0 == 0 && x0 == 0 && y1 == r.height && x1 == r.width) return;
    double inside = 0, outside = 0;
    for (Index c = 0; c < now_.channels(); ++c) {
      for (Index y = 0; y < r.height; ++y) {
        const T* row = now_.row(c, y);
        if (y < y0 || y >= y1 || x1 <= x0) {
          outside += mass_of(row, r.width);
        } else {
          outside += mass_of(row, x0) + mass_of(row + x1, r.width - x1);
          inside += mass_of(row + x0, x1 - x0);
        }
      }
    }
    accounts_.clip(inside, outside) ? now_.crop(y0, y1, x0, x1) : now_.clear();
  }

  double mass_of(const T* values, Index n) const {
    if (n <= 0) return 0;
    // squares are taken of values near 1: those of the working scale would overflow
    return options_.non_negative ? kernels_.sum(values, n)
                                 : kernels_.sum_of_squares(values, n, static_cast<T>(std::ldexp(1.0, -peak_exponent<T>)));
  }

  // After `layers` more.
  void trim(Index layers) {
    if (options_.trim > 0) {
      accounts_.add_trimmed(trim_sides(now_, accounts_.trim_budget(options_.trim, layers, layers_), kernels_));
    } else {
      trim_zeros(now_);
    }
  }

  // Divisors of pooling windows that overhang the map depend on the position.
  void rescale(const Run<T>& run) {
    const Rect& r = now_.rect();
    if (r.y0 < 0 || r.x0 < 0 || r.y0 + r.height > run.scale_height || r.x0 + r.width > run.scale_width) {
      throw std::invalid_argument("scale must cover the output map of its layer");
    }
    peak_ = 0;
    for (Index c = 0; c < now_.channels(); ++c) {
      for (Index y = 0; y < r.height; ++y) {
        T* row = now_.row(c, y);
        const Index at = (r.y0 + y) * run.scale_width + r.x0;
        const double* scale = run.scale + at;
        if constexpr (parts == 2) {
          kernel_table().exact->multiply(row, row + now_.low(), scale, run.scale_low == nullptr ? nullptr : run.scale_low + at, r.width);
        } else {
          for (Index x = 0; x < r.width; ++x) row[x] = static_cast<T>(row[x] * scale[x]);
        }
        peak_ = std::max(peak_, static_cast<double>(kernels_.max_abs(row, r.width)));
      }
    }
    accounts_.add_rescaled();
  }

  bool composes(const Run<T>& run) const {
    return parts == 1 && options_.non_negative && now_.rect().height == 1 && now_.channels() == 1 && can_compose(run);
  }

  // A long run of 1-D steps at once.
  void compose(const Run<T>& run, Index draw) {
    const Rect from = now_.rect();
    const double share = options_.trim * static_cast<double>(run.count) / static_cast<double>(layers_);
    const Image<T> result = composed(run, draw, now_.row(0, 0), from.width, {share, keeps_mass_, limit_, sharing_.team()}, sharing_.monitor());
    const Rect rect = result.plane.rect();
    now_.reshape(1, {from.y0 - run.before[0] * run.count, from.x0 - run.before[1] * run.count + rect.x0, 1, rect.width}, margin_, limit_);
    std::copy_n(result.plane.row(0, 0), rect.width, now_.row(0, 0));
    now_.clear_margins(0, 0);
    accounts_.exponent += result.exponent;
    accounts_.rounding += result.rounding;
    accounts_.trimmed += result.trimmed;
    peak_ = static_cast<double>(kernels_.max_abs(now_.row(0, 0), rect.width));
    accounts_.mass = kernels_.sum(now_.row(0, 0), rect.width);
    if (peak_ == 0) now_.clear();
  }

  Image<T> finish() {
    double peak = 0;
    for (Index c = 0; c < now_.channels() && !now_.empty(); ++c) {
      for (Index y = 0; y < now_.rect().height; ++y) {
        peak = std::max(peak, static_cast<double>(kernels_.max_abs(now_.row(c, y), now_.rect().width)));
      }
    }
    Image<T> image{accounts_.facts(peak), Plane<T>()};
    if (options_.draws == 1) {
      image.plane = std::move(now_);
    } else {  // a tight copy: the working planes serve the next draw
      image.plane.reshape(now_.channels(), now_.rect(), 0, std::numeric_limits<Index>::max());
      for (Index c = 0; c < now_.channels(); ++c) {
        for (Index y = 0; y < now_.rect().height; ++y) std::copy_n(now_.row(c, y), now_.rect().width, image.plane.row(c, y));
      }
    }
    return image;
  }

  const std::vector<Run<T>>& runs_;
  const Options& options_;
  Index limit_;
  Sharing sharing_;
  const Kernels<T>& kernels_;
  Index margin_ = 1, layers_ = 0;
  bool keeps_mass_ = true;
  Plane<T> now_{parts}, next_{parts};
  std::vector<typename Step::Scratch> scratch_;
  std::vector<RowBuffer<T>> buffers_;
  std::vector<Layer> group_;
  Accounts<T, parts> accounts_;
  double peak_ = 0;
};

}  // namespace

template <class T, int parts>
std::vector<Image<T>> propagate(const std::vector<Run<T>>& runs, const Options& options, Monitor& monitor) {
  FlushDenormals flush;
  std::vector<Image<T>> images(static_cast<std::size_t>(options.draws));
  const Index limit = options.memory_limit / 2 / alone(options.draws, options.threads);
  share_draws(options.draws, options.threads, monitor, [&](const Sharing& sharing, const auto& pieces) {
    Chain<T, parts> chain(runs, options, limit, sharing);
    for (Index d = pieces(); d >= 0; d = pieces()) images[static_cast<std::size_t>(d)] = chain.run(d);
  });
  return images;
}

template std::vector<Image<float>> propagate<float, 1>(const std::vector<Run<float>>&, const Options&, Monitor&);
template std::vector<Image<double>> propagate<double, 1>(const std::vector<Run<double>>&, const Options&, Monitor&);
template std::vector<Image<double>> propagate<double, 2>(const std::vector<Run<double>>&, const Options&, Monitor&);

}  // namespace erffast
