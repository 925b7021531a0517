// The direct engine: a chain of backward steps, layer by layer.
//
// The working image is rescaled by powers of two only, and for free: the factor that keeps the next peak below
// 2**peak_exponent is multiplied into the taps, which is exact. Rows are shared out to threads; each pixel is one sum in a
// fixed order and every reduction is made in a fixed order too, so the bits do not depend on the number of threads.
#include "erffast/propagate.hpp"

#include <atomic>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <thread>

#include "direct/backward_step.hpp"
#include "erffast/double_double.hpp"
#include "erffast/separable.hpp"
#include "erffast/threads.hpp"
#include "direct/trim.hpp"

namespace erffast {
namespace {

// Below this many multiply-adds a step is not worth waking other threads for (they cost some 10 us).
constexpr Index parallel_work = 300'000;

template <class T, int parts = 1>
constexpr double unit_roundoff = parts == 2 ? double_double_roundoff : sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;

int binary_exponent(double value) {
  int e;
  std::frexp(value, &e);
  return e;
}

// The taps of one kernel, scaled by a power of two.
template <class T>
class ScaledTaps {
 public:
  ScaledTaps(const Run<T>& run, Index which, Index draw) {
    const Index out = run.channels_out == 0 ? 1 : run.channels_out;
    size_ = out * run.channels_in * run.kernel[0] * run.kernel[1];
    source_ = run.taps + ((run.n_kernels == 1 ? 0 : which) * run.tap_draws + (run.tap_draws == 1 ? 0 : draw)) * size_;
    const Index taps = run.kernel[0] * run.kernel[1];
    // Largest gain of the peak: over the input channels, the sum of |w| that meets one pixel.
    const Index per_group = run.channels_out == 0 ? 1 : run.channels_out / run.groups;
    for (Index g = 0; g < (run.channels_out == 0 ? 1 : run.groups); ++g) {
      for (Index c = 0; c < run.channels_in; ++c) {
        double gain = 0;
        Index terms = 0;
        for (Index o = 0; o < per_group; ++o) {
          const T* w = source_ + ((g * per_group + o) * run.channels_in + c) * taps;
          for (Index t = 0; t < taps; ++t) {
            gain += std::abs(static_cast<double>(w[t])) * 0x1p-64;
            total_ += static_cast<double>(w[t]);
            terms += w[t] != T(0);
          }
        }
        gain_ = std::max(gain_, gain);
        terms_ = std::max(terms_, terms);
      }
    }
  }

  // Exponent e such that a peak of `peak` grows to at most 2**peak_exponent under taps * 2**e.
  int exponent_for(double peak) const {
    return peak_exponent<T> - binary_exponent(peak) - (gain_ > 0 ? binary_exponent(gain_) + 64 : 0);
  }

  const T* scaled(int exponent) {
    if (values_.empty() || exponent != exponent_) {
      values_.resize(static_cast<std::size_t>(size_));
      for (Index i = 0; i < size_; ++i) values_[static_cast<std::size_t>(i)] = static_cast<T>(std::ldexp(source_[i], exponent));
      exponent_ = exponent;
    }
    return values_.data();
  }

  double total() const { return total_; }
  Index terms() const { return terms_; }
  Index size() const { return size_; }
  const T* source() const { return source_; }

 private:
  const T* source_;
  Index size_;
  double gain_ = 0, total_ = 0;
  Index terms_ = 0;
  std::vector<T> values_;
  int exponent_ = 0;
};

// One draw on its way from the output to the input.
template <class T, int parts>
class Chain {
  using Step = BackwardStep<T, parts>;

 public:
  Chain(const std::vector<Run<T>>& runs, const Options& options, Index plane_limit, Team* team, Monitor& monitor, bool polls)
      : runs_(runs), options_(options), limit_(plane_limit), team_(team), monitor_(monitor), polls_(polls),
        kernels_(kernels_of<T>(kernel_table())) {
    for (const Run<T>& run : runs) {
      margin_ = std::max(margin_, Step::margin(run));
      layers_ += run.count;
      keeps_mass_ = keeps_mass_ && !run.bounded;
    }
    scratch_.resize(static_cast<std::size_t>(team != nullptr ? team->size() : 1));
  }

  Image<T> run(Index draw) {
    start();
    for (const Run<T>& run : runs_) {
      if (now_.empty()) break;
      composes(run) ? compose(run, draw) : steps(run, draw);
    }
    return finish();
  }

 private:
  void start() {
    now_.reshape(options_.channels, {options_.unit[0], options_.unit[1], 1, 1}, margin_, limit_);
    for (Index c = 0; c < options_.channels; ++c) {
      now_.row(c, 0)[0] = static_cast<T>(std::ldexp(1.0, peak_exponent<T>));
      if constexpr (parts == 2) now_.row(c, 0)[now_.low()] = T(0);
      now_.clear_margins(c, 0);
    }
    image_ = Image<T>();
    image_.exponent = -peak_exponent<T>;
    peak_ = std::ldexp(1.0, peak_exponent<T>);
    mass_ = peak_;
    log_kept_ = 0;
  }

  void steps(const Run<T>& run, Index draw) {
    std::unique_ptr<ScaledTaps<T>> taps;
    for (Index i = 0; i < run.count && !now_.empty(); ++i) {
      if (!taps || run.n_kernels > 1) taps = std::make_unique<ScaledTaps<T>>(run, i, draw);
      if (run.scale != nullptr) rescale(run);
      if (peak_ == 0) return now_.clear();
      const int e = taps->exponent_for(peak_);
      image_.exponent -= e;
      convolve(run, taps->scaled(e));
      image_.rounding += static_cast<double>(taps->terms()) * unit_roundoff<T, parts>;
      mass_ *= std::ldexp(taps->total(), e);
      if (run.bounded) clip({0, 0, run.extent[0] + i * run.growth[0], run.extent[1] + i * run.growth[1]});
      if (!now_.empty()) trim();
      monitor_.add_done(1);
    }
  }

  // The step itself, rows shared out; leaves the result in now_ and its peak in peak_.
  void convolve(const Run<T>& run, const T* taps) {
    const Step step(run, taps, now_, kernels_);
    const Rect rect = step.full_rect();
    next_.reshape(step.channels(), rect, margin_, limit_);
    const Index rows = step.channels() * rect.height;
    peaks_.assign(static_cast<std::size_t>(rows), T(0));
    const auto band = [&](int thread, int threads) {
      const auto poll = [&, polls = polls_ && thread == 0](Index work) {
        if (polls) monitor_.tick(work);
        return !monitor_.stopped();
      };
      auto& scratch = scratch_[static_cast<std::size_t>(thread)];
      for (Index r = first_item(rows, thread, threads); r < first_item(rows, thread + 1, threads); ++r) {
        if (monitor_.stopped()) return;
        step.row(next_, r / rect.height, r % rect.height, scratch, poll);
        peaks_[static_cast<std::size_t>(r)] = kernels_.max_abs(next_.row(r / rect.height, r % rect.height), rect.width);
      }
    };
    if (team_ != nullptr && step.work() > parallel_work) {
      team_->run([&](int thread) { band(thread, team_->size()); });
    } else {
      band(0, 1);
    }
    monitor_.throw_if_stopped();
    peak_ = static_cast<double>(kernels_.max_abs(peaks_.data(), rows));
    if (!std::isfinite(peak_)) throw std::runtime_error("internal error: the working image overflowed");
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
    if (!(inside > 0)) {
      log_kept_ = -std::numeric_limits<double>::infinity();
      return now_.clear();
    }
    log_kept_ -= std::log1p(outside / inside);
    now_.crop(y0, y1, x0, x1);
  }

  double mass_of(const T* values, Index n) const {
    if (n <= 0) return 0;
    // squares are taken of values near 1: those of the working scale would overflow
    return options_.non_negative ? kernels_.sum(values, n)
                                 : kernels_.sum_of_squares(values, n, static_cast<T>(std::ldexp(1.0, -peak_exponent<T>)));
  }

  void trim() {
    if (options_.trim > 0) {
      const double budget = options_.trim * mass_ / static_cast<double>(layers_);
      image_.trimmed += trim_sides(now_, budget, kernels_) / mass_;
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
    image_.rounding += unit_roundoff<T, parts>;
  }

  bool composes(const Run<T>& run) const {
    return parts == 1 && options_.non_negative && now_.rect().height == 1 && now_.channels() == 1 && can_compose(run);
  }

  // A long run of 1-D steps at once.
  void compose(const Run<T>& run, Index draw) {
    const Rect from = now_.rect();
    const double share = options_.trim * static_cast<double>(run.count) / static_cast<double>(layers_);
    const Image<T> result = composed(run, draw, now_.row(0, 0), from.width, {share, keeps_mass_, limit_, team_}, monitor_);
    const Rect rect = result.plane.rect();
    now_.reshape(1, {from.y0 - run.before[0] * run.count, from.x0 - run.before[1] * run.count + rect.x0, 1, rect.width}, margin_, limit_);
    std::copy_n(result.plane.row(0, 0), rect.width, now_.row(0, 0));
    now_.clear_margins(0, 0);
    image_.exponent += result.exponent;
    image_.rounding += result.rounding;
    image_.trimmed += result.trimmed;
    peak_ = static_cast<double>(kernels_.max_abs(now_.row(0, 0), rect.width));
    mass_ = kernels_.sum(now_.row(0, 0), rect.width);
    if (peak_ == 0) now_.clear();
  }

  Image<T> finish() {
    if constexpr (parts == 2) image_.rounding += unit_roundoff<T>;  // the answer is the high parts
    image_.border = log_kept_ < 0 ? -std::expm1(log_kept_) : 0;
    image_.peak = 0;
    for (Index c = 0; c < now_.channels() && !now_.empty(); ++c) {
      for (Index y = 0; y < now_.rect().height; ++y) {
        image_.peak = std::max(image_.peak, static_cast<double>(kernels_.max_abs(now_.row(c, y), now_.rect().width)));
      }
    }
    if (options_.draws == 1) {
      image_.plane = std::move(now_);
    } else {  // a tight copy: the working planes serve the next draw
      image_.plane.reshape(now_.channels(), now_.rect(), 0, std::numeric_limits<Index>::max());
      for (Index c = 0; c < now_.channels(); ++c) {
        for (Index y = 0; y < now_.rect().height; ++y) std::copy_n(now_.row(c, y), now_.rect().width, image_.plane.row(c, y));
      }
    }
    return std::move(image_);
  }

  const std::vector<Run<T>>& runs_;
  const Options& options_;
  Index limit_;
  Team* team_;
  Monitor& monitor_;
  bool polls_;
  const Kernels<T>& kernels_;
  Index margin_ = 1, layers_ = 0;
  bool keeps_mass_ = true;
  Plane<T> now_{parts}, next_{parts};
  std::vector<T> peaks_;
  std::vector<typename Step::Scratch> scratch_;
  Image<T> image_;
  double peak_ = 0, mass_ = 0, log_kept_ = 0;
};

}  // namespace

template <class T, int parts>
std::vector<Image<T>> propagate(const std::vector<Run<T>>& runs, const Options& options, Monitor& monitor) {
  FlushDenormals flush;
  std::vector<Image<T>> images(static_cast<std::size_t>(options.draws));
  if (options.draws < 2 || options.draws < options.threads || options.threads < 2) {
    Team team(options.threads);
    Chain<T, parts> chain(runs, options, options.memory_limit / 2, &team, monitor, true);
    for (Index d = 0; d < options.draws; ++d) images[static_cast<std::size_t>(d)] = chain.run(d);
    return images;
  }
  // Many draws: one thread each, no waiting for one another.
  Team team(options.threads);
  std::atomic<Index> next{0};
  std::atomic<int> busy{team.size()};
  team.run([&](int thread) {
    struct Leave {  // also when an exception passes: the calling thread waits for the count
      std::atomic<int>& busy;
      ~Leave() { busy.fetch_sub(1); }
    };
    {
      Leave leave{busy};
      try {
        Chain<T, parts> chain(runs, options, options.memory_limit / 2 / options.threads, nullptr, monitor, thread == 0);
        for (Index d = next++; d < options.draws; d = next++) images[static_cast<std::size_t>(d)] = chain.run(d);
      } catch (...) {
        monitor.stop();
        throw;
      }
    }
    while (thread == 0 && busy.load() > 0 && !monitor.stopped()) {  // keep answering Ctrl-C while the others finish
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      monitor.tick(1'000'000);
    }
  });
  monitor.throw_if_stopped();
  return images;
}

template std::vector<Image<float>> propagate<float, 1>(const std::vector<Run<float>>&, const Options&, Monitor&);
template std::vector<Image<double>> propagate<double, 1>(const std::vector<Run<double>>&, const Options&, Monitor&);
template std::vector<Image<double>> propagate<double, 2>(const std::vector<Run<double>>&, const Options&, Monitor&);

}  // namespace erffast
