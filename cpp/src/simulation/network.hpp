// One random network at a time: its weights and input, forward to the last gate, and the gradient back to the input.
//
// Values and gradients are kept near 1 by powers of two, and what was taken out is counted: a network of any depth and any weights
// stays in range. Only where an activation's shape depends on the scale are values brought to their own.
#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "direct/backward_step.hpp"
#include "erffast/philox.hpp"
#include "erffast/plane.hpp"
#include "erffast/simulate.hpp"
#include "sharing.hpp"
#include "simulation/blended.hpp"
#include "simulation/forward_step.hpp"
#include "simulation/functions.hpp"
#include "simulation/gate.hpp"
#include "simulation/layout.hpp"
#include "simulation/maximum.hpp"
#include "simulation/pooled.hpp"

namespace erffast::simulation {

// Peaks within 2**-span to 2**span are left as they are.
template <class T>
inline constexpr int span = sizeof(T) == 8 ? 300 : 30;

// The unit's gradient of a second answer, to compare with that of 1: sums are rounded otherwise. In both precisions.
inline constexpr float other_start = 0x1.6a09e6p-1f;

// An image with a power of two.
template <class T>
struct Scaled {
  Plane<T> plane;
  Index exponent = 0;
  bool present = false;
};

template <class T>
void multiply(Plane<T>& plane, T factor) {
  for (Index c = 0; c < plane.channels(); ++c) {
    for (Index y = 0; y < plane.rect().height; ++y) {
      T* row = plane.row(c, y);
      for (Index x = 0; x < plane.rect().width; ++x) row[x] *= factor;
    }
  }
}

// Multiplies every channel by an image [rows, columns] of the value's rectangle.
template <class T>
void multiply(Plane<T>& plane, const Layout<T>& layout, const Value& value, const double* image) {
  const Index step = layout.step(value.channels);
  for (Index c = 0; c < value.channels; ++c) {
    for (Index y = 0; y < value.rect.height; ++y) {
      T* row = layout.row(plane, c, y);
      for (Index x = 0; x < value.rect.width; ++x) row[x * step] = static_cast<T>(row[x * step] * image[y * value.rect.width + x]);
    }
  }
}

// From here on the channels of a pixel are put side by side: a line of 64 bytes is then half full at least.
inline constexpr Index many_channels = 8;

inline bool side_by_side(const Program& program) {
  Index most = 0;
  for (const Operation& op : program.operations) {
    if (op.kind != Kind::convolution) continue;
    if (op.groups > 1) return false;
    most = std::max(most, program.values[op.out].channels);
  }
  return most >= many_channels;
}

inline bool same(const Rect& a, const Rect& b) { return a.y0 == b.y0 && a.x0 == b.x0 && a.height == b.height && a.width == b.width; }

template <class T>
class Network {
 public:
  Network(const Program& program, Index limit, const Sharing& sharing)
      : program_(program), limit_(limit), sharing_(sharing), kernels_(kernels_of<T>(kernel_table())), random_(*kernel_table().random),
        layout_(side_by_side(program)), blended_(layout_), pooled_(layout_), values_(program.values.size()), gradients_(program.values.size()),
        readers_(program.values.size()), steps_(program.operations.size(), Step(layout_)), scratch_(static_cast<std::size_t>(sharing.size())) {
    Index widest = 1;
    for (const Value& value : program.values) widest = std::max(widest, layout_.pitch(value.channels));
    for (std::size_t i = 0; i < program.operations.size(); ++i) {
      const Operation& op = program.operations[i];
      ++readers_[op.in];
      if (op.kind == Kind::sum) ++readers_[op.other];
      if (op.kind == Kind::activation || op.kind == Kind::maximum || op.kind == Kind::dropout) gated_ = i + 1;
      margin_ = std::max({margin_, BackwardStep<T>::margin(run_of<T>(op.window)), ForwardStep<T>::margin(op.window, overhang(op))});
    }
    margin_ *= widest;
  }

  // Draw number `draw`, the `index`th of this call; `image` [rows, columns] of the input's rectangle.
  Drawn run(Index draw, Index index, double* image) {
    draw_ = draw;
    index_ = index;
    if (!gradient(T(1))) return {0, Fate::not_finite};
    Drawn drawn = reduce(image);
    drawn.border = -std::expm1(kept_);
    release(gradients_[0]);
    sharing_.monitor().add_done(static_cast<Index>(program_.operations.size()));
    return drawn;
  }

  // An estimate of the error of a draw's gradient, relative to its peak: how far two answers are apart that are the same but for
  // rounding, because every weight is the next number, up or down, and the unit's gradient another one. Deep networks with few channels
  // amplify rounding layer by layer, and no bound would tell closely how much.
  double rounding(Index draw, Index index) {
    draw_ = draw;
    index_ = index;
    nudged_ = true;
    const bool finite = gradient(static_cast<T>(other_start));
    nudged_ = false;
    Scaled<T> other = std::move(gradients_[0]);
    gradients_[0].present = false;
    const double far = finite && gradient(T(1)) && gradients_[0].present ? distance(gradients_[0], other) : 0.0;
    release(gradients_[0]);
    release(other);
    return far;
  }

 private:
  struct Step {  // what an operation keeps for the way back
    explicit Step(const Layout<T>& layout) : chosen(layout) {}
    std::vector<T> weights;
    Index exponent = 0;  // of the weights
    Gate<T> gate;
    Chosen<T> chosen;
  };

  // Columns of padding that the first or last window of the output rectangle reads.
  Index overhang(const Operation& op) const {
    const Rect &in = program_.values[op.in].rect, &out = program_.values[op.out].rect;
    const Window& w = op.window;
    const Index first = w.stride[1] * out.x0 - w.before[1], last = w.stride[1] * (out.x0 + out.width - 1) + w.dilation[1] * (w.kernel[1] - 1) - w.before[1];
    return std::max<Index>({0, in.x0 - first, last - (in.x0 + in.width - 1)});
  }

  Stream stream(const Operation* op, Purpose purpose) const {
    return {program_.seed, static_cast<std::uint32_t>(draw_), op == nullptr ? 0 : op->layer, purpose};
  }

  // ---------------------------------------------------------------------------------------------- weights
  void make_weights(const Operation& op, Step& step) {
    const Index out = program_.values[op.out].channels, in = program_.values[op.in].channels / op.groups, taps = op.window.taps();
    const Index n = out * in * taps;
    step.weights.resize(static_cast<std::size_t>(n));
    step.exponent = 0;
    T* weights = step.weights.data();
    if (op.weights == nullptr) {
      fill(n, stream(&op, Purpose::weight), random_.normals, [&](Index first, Index count, const double* normals) {
        Index tap = first % taps;
        for (Index i = 0; i < count; ++i, tap = tap + 1 < taps ? tap + 1 : 0) weights[first + i] = static_cast<T>(normals[i] * op.spread[tap]);
      });
      return nudge(step.weights);
    }
    const double* from = op.weights + (op.weight_draws == 1 ? 0 : index_ * n);
    double peak = 0;
    for (Index i = 0; i < n; ++i) peak = std::max(peak, std::abs(from[i]));
    const int e = std::ilogb(peak > 0 ? peak : 1.0);
    for (Index i = 0; i < n; ++i) weights[i] = static_cast<T>(std::ldexp(from[i], -e));
    step.exponent = e;
    nudge(step.weights);
  }

  void nudge(std::vector<T>& weights) const {
    constexpr T up = 1 + std::numeric_limits<T>::epsilon(), down = 1 - std::numeric_limits<T>::epsilon();
    for (std::size_t i = 0; i < weights.size() && nudged_; ++i) weights[i] *= std::popcount(i * 0x9E3779B97F4A7C15) % 2 == 0 ? up : down;
  }

  // The first n random numbers of a stream, shared out in pairs: visit(first, count, numbers).
  template <class Visit>
  void fill(Index n, const Stream& numbers, MakeRow make, const Visit& visit) {
    constexpr Index work = 20;            // multiply-adds that a pair takes the time of
    constexpr Index pairs_at_once = 256;  // they stay in the first-level cache
    sharing_.template largest<T>((n + 1) / 2, 4 * pairs_at_once, (n + 1) / 2 * work, [&](int, Index pair, Index last, const auto& poll) {
      double made[2 * pairs_at_once];
      for (; pair < last; pair += pairs_at_once) {
        const Index count = std::min(2 * std::min(pairs_at_once, last - pair), n - 2 * pair);
        make(made, numbers, pair, count);
        visit(2 * pair, count, made);
        if (!poll(count / 2 * work)) break;
      }
      return T(0);
    });
  }

  // ---------------------------------------------------------------------------------------------- forward
  bool forward() {
    left_ = readers_;
    make_input();
    for (std::size_t i = 0; i < gated_; ++i) {
      const Operation& op = program_.operations[i];
      if (!forward(op, steps_[i])) return false;
    }
    for (Scaled<T>& value : values_) release(value);
    return true;
  }

  void make_input() {
    Scaled<T>& input = values_[0];
    const Value& value = program_.values[0];
    input = {zeros(value), 0, true};
    const Index n = value.channels * value.rect.height * value.rect.width;
    const auto set = [&](Index first, Index count, const double* numbers) { set_pixels(value, input.plane, first, count, numbers); };
    switch (program_.filling) {
      case Filling::normal: return fill(n, stream(nullptr, Purpose::input), random_.normals, set);
      case Filling::uniform: return fill(n, stream(nullptr, Purpose::input), random_.uniforms, set);
      case Filling::given: return set(0, n, program_.inputs + (program_.input_draws == 1 ? 0 : index_ * n));
    }
  }

  // Pixels [first, first + n) of a map, counted along its rows, its columns of rows and its channels.
  void set_pixels(const Value& value, Plane<T>& plane, Index first, Index n, const double* numbers) {
    const Index width = value.rect.width, height = value.rect.height, step = layout_.step(value.channels);
    for (const Index end = first + n; first < end;) {
      const Index row = first / width, x = first % width, count = std::min(end - first, width - x);
      T* to = layout_.row(plane, row / height, row % height) + x * step;
      for (Index i = 0; i < count; ++i) to[i * step] = static_cast<T>(numbers[i]);
      first += count;
      numbers += count;
    }
  }

  // Returns whether all is finite.
  bool forward(const Operation& op, Step& step) {
    const Value& to = program_.values[op.out];
    Scaled<T>& out = values_[op.out];
    switch (op.kind) {
      case Kind::convolution: {
        make_weights(op, step);
        windowed(op, step);
        break;
      }
      case Kind::filter: {
        make_taps(op, step);
        windowed(op, step);
        if (op.shares != nullptr) multiply(out.plane, layout_, to, op.shares);
        break;
      }
      case Kind::maximum: {
        out = {zeros(to), values_[op.in].exponent, true};
        step.chosen.forward(op.window, program_.values[op.in], values_[op.in].plane, to, out.plane);
        break;
      }
      case Kind::activation: {
        out = taken(op.in);
        fit(out.plane, layout_.rect(to));
        if (!scale_free(op.function) && out.exponent != 0) {
          multiply(out.plane, static_cast<T>(std::ldexp(1.0, static_cast<int>(std::clamp<Index>(out.exponent, -2000, 2000)))));
          out.exponent = 0;
          if (!std::isfinite(largest(out.plane))) return false;
        }
        activate(op.function, out.plane, step.gate);
        break;
      }
      case Kind::dropout: {
        out = taken(op.in);
        fit(out.plane, layout_.rect(to));
        make_mask(op, out.plane, step.gate);
        break;
      }
      case Kind::scale: {
        out = taken(op.in);
        fit(out.plane, layout_.rect(to));
        int e;
        multiply(out.plane, static_cast<T>(std::frexp(op.number, &e)));
        out.exponent += e;
        break;
      }
      case Kind::sum: {
        out = taken(op.in);
        fit(out.plane, layout_.rect(to));
        add(out, values_[op.other]);
        read(op.other);
        break;
      }
    }
    if (op.kind == Kind::convolution || op.kind == Kind::filter || op.kind == Kind::maximum) read(op.in);
    return true;
  }

  void windowed(const Operation& op, const Step& step) {
    const Value &from = program_.values[op.in], &to = program_.values[op.out];
    const Scaled<T>& in = values_[op.in];
    Scaled<T>& out = values_[op.out];
    out = {spare(), in.exponent + step.exponent, true};
    T peak;
    if (layout_.channels_last()) {
      out.plane.reshape(1, layout_.rect(to), margin_, limit_);
      peak = op.kind == Kind::convolution ? blended_.forward(op.window, step.weights.data(), from, in.plane, to, out.plane, sharing_)
                                          : pooled_.forward(op.window, step.weights.data(), from, in.plane, to, out.plane, sharing_);
    } else {
      forward_.take(op.window, joined(op), step.weights.data());
      peak = forward_.run(in.plane, to.rect, out.plane, margin_, limit_, sharing_);
      fit(out.plane, to.rect);
    }
    tame(out, peak);
  }

  Joined joined(const Operation& op) const {
    const Index in = program_.values[op.in].channels;
    return op.kind == Kind::filter ? Joined{0, in, 1} : Joined{program_.values[op.out].channels, in, op.groups};
  }

  void make_taps(const Operation& op, Step& step) {
    step.weights.assign(op.taps, op.taps + op.window.taps());
    step.exponent = 0;
  }

  void make_mask(const Operation& op, Plane<T>& plane, Gate<T>& gate) {
    const Value& value = program_.values[op.out];
    const Index width = value.rect.width, height = value.rect.height, pitch = layout_.pitch(value.channels), n = value.channels * height * width;
    std::vector<unsigned char> kept(static_cast<std::size_t>(n));
    fill(n, stream(&op, Purpose::mask), random_.uniforms, [&](Index first, Index count, const double* numbers) {
      for (Index i = 0; i < count; ++i) kept[static_cast<std::size_t>(first + i)] = numbers[i] >= op.number;
    });
    gate.decide(plane, static_cast<T>(1 / (1 - op.number)), T(0), [&](Index i) {
      if (!layout_.channels_last()) return kept[static_cast<std::size_t>(i)] != 0;
      const Index channel = i % pitch, pixel = i / pitch;
      return channel < value.channels && kept[static_cast<std::size_t>(channel * height * width + pixel)] != 0;
    });
  }

  // A value for an operation that changes it: the value itself where nothing else reads it.
  Scaled<T> taken(std::size_t value) {
    if (--left_[value] == 0) {
      values_[value].present = false;
      return {std::move(values_[value].plane), values_[value].exponent, true};
    }
    return {copied(values_[value].plane), values_[value].exponent, true};
  }

  // An operation has read a value: the last one gives its memory back.
  void read(std::size_t value) {
    if (--left_[value] == 0) release(values_[value]);
  }

  // ---------------------------------------------------------------------------------------------- backward
  // From a gradient of `start` at the unit; leaves that of the input in gradients_[0]. Returns whether all values were finite.
  bool gradient(T start) {
    kept_ = 0;
    if (gated_ > 0 && !forward()) return false;
    backward(start);
    return true;
  }

  void backward(T start) {
    const std::size_t last = program_.values.size() - 1;
    const Value& unit = program_.values[last];
    gradients_[last] = {zeros(unit), 0, true};
    gradients_[last].plane.row(0, 0)[0] = start;
    for (std::size_t i = program_.operations.size(); i-- > 0;) {
      const Operation& op = program_.operations[i];
      Scaled<T>& above = gradients_[op.out];
      if (above.present) backward(op, steps_[i], above, i >= gated_);
      release(above);
    }
  }

  // The largest difference of two answers, relative to the peak of the first.
  double distance(const Scaled<T>& one, const Scaled<T>& other) const {
    const double factor = std::ldexp(1.0, static_cast<int>(std::clamp<Index>(other.exponent - one.exponent, -2000, 2000))) / static_cast<double>(other_start);
    const Rect& r = one.plane.rect();  // all numbers of both, whatever their layout
    double furthest = 0, peak = 0;
    for (Index c = 0; c < one.plane.channels(); ++c) {
      for (Index y = 0; y < r.height; ++y) {
        const T *a = one.plane.row(c, y), *b = other.present ? other.plane.row(c, y) : nullptr;
        for (Index x = 0; x < r.width; ++x) {
          const double v = static_cast<double>(a[x]);
          peak = std::max(peak, std::abs(v));
          furthest = std::max(furthest, std::abs(v - (b == nullptr ? 0.0 : static_cast<double>(b[x]) * factor)));
        }
      }
    }
    return std::max(furthest / peak, static_cast<double>(std::numeric_limits<T>::epsilon()));
  }

  // `fresh`: the way forward ended before this operation.
  void backward(const Operation& op, Step& step, Scaled<T>& above, bool fresh) {
    switch (op.kind) {
      case Kind::convolution:
        if (fresh) make_weights(op, step);
        return spread(op, step, above);
      case Kind::filter:
        if (fresh) make_taps(op, step);
        if (op.shares != nullptr) multiply(above.plane, layout_, program_.values[op.out], op.shares);
        return spread(op, step, above);
      case Kind::maximum: {
        const Value& in = program_.values[op.in];
        Scaled<T> below{zeros(in), above.exponent, true};
        step.chosen.backward(op.window, program_.values[op.out], above.plane, in, below.plane);
        return receive(op.in, below);
      }
      case Kind::activation:
      case Kind::dropout:
        step.gate.apply(above.plane);
        return receive(op.in, above);
      case Kind::scale: {
        int e;
        multiply(above.plane, static_cast<T>(std::frexp(op.number, &e)));
        above.exponent += e;
        return receive(op.in, above);
      }
      case Kind::sum: {
        Scaled<T> other{copied(above.plane), above.exponent, true};
        receive(op.other, other);
        return receive(op.in, above);
      }
    }
  }

  // Through a convolution or a filter.
  void spread(const Operation& op, const Step& step, const Scaled<T>& above) {
    Scaled<T> below{spare(), above.exponent + step.exponent, true};
    const T peak = layout_.channels_last() ? spread_pixels(op, step, above.plane, below.plane) : spread_planes(op, step, above.plane, below.plane);
    tame(below, peak);
    if (peak > 0) return receive(op.in, below);
    release(below);
  }

  T spread_planes(const Operation& op, const Step& step, const Plane<T>& above, Plane<T>& below) {
    Run<T> run = run_of<T>(op.window);
    const Joined channels = joined(op);
    run.channels_out = channels.out;
    run.channels_in = channels.out == 0 ? 1 : channels.in / channels.groups;
    run.groups = channels.groups;
    const BackwardStep<T> back(run, step.weights.data(), above, kernels_);
    below.reshape(back.channels(), back.full_rect(), margin_, limit_);
    return sharing_.template largest<T>(back.channels() * below.rect().height, 8, back.work(), [&](int thread, Index first, Index last, const auto& poll) {
      return back.rows(below, first, last, scratch_[static_cast<std::size_t>(thread)], poll);
    });
  }

  T spread_pixels(const Operation& op, const Step& step, const Plane<T>& above, Plane<T>& below) {
    const Value& from = program_.values[op.out];
    const Window& w = op.window;
    Value full{program_.values[op.in].channels, {}};
    full.rect = {from.rect.y0 * w.stride[0] - w.before[0], from.rect.x0 * w.stride[1] - w.before[1],
                 w.stride[0] * (from.rect.height - 1) + w.dilation[0] * (w.kernel[0] - 1) + 1,
                 w.stride[1] * (from.rect.width - 1) + w.dilation[1] * (w.kernel[1] - 1) + 1};
    below.reshape(1, layout_.rect(full), margin_, limit_);
    return op.kind == Kind::convolution ? blended_.backward(w, step.weights.data(), from, above, full, below, sharing_)
                                        : pooled_.backward(w, step.weights.data(), from, above, full, below, sharing_);
  }

  // A gradient for a value, moved from; what lies outside its rectangle has met the border of the map.
  void receive(std::size_t value, Scaled<T>& gradient) {
    const Rect rect = layout_.rect(program_.values[value]);
    Scaled<T>& sum = gradients_[value];
    account(gradient.plane, rect);
    if (!sum.present) {
      sum = std::move(gradient);
      gradient.present = false;
      return fit(sum.plane, rect);
    }
    fit(gradient.plane, rect);
    add(sum, gradient);
    release(gradient);
  }

  // What of a gradient lies outside a rectangle was lost at the border of a map.
  void account(const Plane<T>& gradient, const Rect& rect) {
    const Rect& r = gradient.rect();
    const Index y0 = std::max(r.y0, rect.y0) - r.y0, y1 = std::min(r.y0 + r.height, rect.y0 + rect.height) - r.y0;
    const Index x0 = std::max(r.x0, rect.x0) - r.x0, x1 = std::min(r.x0 + r.width, rect.x0 + rect.width) - r.x0;
    if (y0 == 0 && x0 == 0 && y1 == r.height && x1 == r.width) return;
    double inside = 0, all = 0;
    for (Index c = 0; c < gradient.channels(); ++c) {
      for (Index y = 0; y < r.height; ++y) {
        const T* row = gradient.row(c, y);
        all += kernels_.sum_of_squares(row, r.width, T(1));
        if (y >= y0 && y < y1 && x1 > x0) inside += kernels_.sum_of_squares(row + x0, x1 - x0, T(1));
      }
    }
    if (all > 0) kept_ += std::log(inside / all);
  }

  Drawn reduce(double* image) {
    Scaled<T>& gradient = gradients_[0];
    const Rect& r = program_.values[0].rect;
    const Index n = r.height * r.width;
    std::fill_n(image, n, 0.0);
    const T peak = gradient.present ? largest(gradient.plane) : T(0);
    if (!std::isfinite(peak)) return {0, Fate::not_finite};
    if (peak == 0) return {0, Fate::dead};
    const int e = std::ilogb(peak) + 1;
    const double factor = std::ldexp(1.0, -e);
    const Index channels = program_.values[0].channels, step = layout_.step(channels);
    for (Index c = 0; c < channels; ++c) {
      for (Index y = 0; y < r.height; ++y) {
        const T* row = layout_.row(gradient.plane, c, y);
        double* sums = image + y * r.width;
        with_reduction(program_.reduction, [&](const auto& reduced) {
          for (Index x = 0; x < r.width; ++x) sums[x] += reduced(static_cast<double>(row[x * step]) * factor);
        });
      }
    }
    if (program_.reduction == Reduction::rms) {
      for (Index i = 0; i < n; ++i) image[i] = std::sqrt(image[i]);
    }
    return normalised(image, n, (gradient.exponent + e) * (program_.reduction == Reduction::square ? 2 : 1));
  }

  // visit(what a channel's gradient adds to its pixel)
  template <class Visit>
  static void with_reduction(Reduction reduction, const Visit& visit) {
    switch (reduction) {
      case Reduction::signed_sum: return visit([](double g) { return g; });
      case Reduction::absolute: return visit([](double g) { return std::abs(g); });
      case Reduction::positive: return visit([](double g) { return g > 0 ? g : 0.0; });
      default: return visit([](double g) { return g * g; });
    }
  }

  // Brings the largest of n pixels to [0.5, 1).
  static Drawn normalised(double* image, Index n, Index exponent) {
    const double peak = kernels_of<double>(kernel_table()).max_abs(image, n);
    if (peak == 0) return {0, Fate::dead};  // of positive parts, or of sums that cancel
    const int e = std::ilogb(peak) + 1;
    const double factor = std::ldexp(1.0, -e);
    for (Index i = 0; i < n; ++i) image[i] *= factor;
    return {exponent + e, Fate::alive};
  }

  // ---------------------------------------------------------------------------------------------- planes
  Plane<T> spare() {
    if (spares_.empty()) return Plane<T>();
    Plane<T> plane = std::move(spares_.back());
    spares_.pop_back();
    return plane;
  }

  void release(Scaled<T>& scaled) {
    if (scaled.present) spares_.push_back(std::move(scaled.plane));
    scaled.present = false;
  }

  Plane<T> plane(Index channels, const Rect& rect) {
    Plane<T> plane = spare();
    plane.reshape(channels, rect, margin_, limit_);
    return plane;
  }

  Plane<T> zeros(const Value& value) { return zeros(layout_.planes(value), layout_.rect(value)); }

  Plane<T> zeros(Index channels, const Rect& rect) {
    Plane<T> zero = plane(channels, rect);
    for (Index c = 0; c < channels; ++c) {
      for (Index y = 0; y < rect.height; ++y) std::fill_n(zero.row(c, y) - margin_, rect.width + 2 * margin_ + overrun, T(0));
    }
    return zero;
  }

  Plane<T> copied(const Plane<T>& from) {
    Plane<T> copy = plane(from.channels(), from.rect());
    for (Index c = 0; c < from.channels(); ++c) {
      for (Index y = 0; y < from.rect().height; ++y) std::copy_n(from.row(c, y), from.rect().width, copy.row(c, y));
    }
    clear_margins(copy);
    return copy;
  }

  static void clear_margins(Plane<T>& plane) {
    for (Index c = 0; c < plane.channels(); ++c) {
      for (Index y = 0; y < plane.rect().height; ++y) plane.clear_margins(c, y);
    }
  }

  // Cuts a plane to a rectangle, or fills it up with zeros.
  void fit(Plane<T>& plane, const Rect& to) {
    const Rect from = plane.rect();
    if (same(from, to)) return;
    const Index y0 = to.y0 - from.y0, x0 = to.x0 - from.x0;
    if (y0 >= 0 && x0 >= 0 && y0 + to.height <= from.height && x0 + to.width <= from.width) {
      return plane.crop(y0, y0 + to.height, x0, x0 + to.width);
    }
    Scaled<T> old{std::move(plane), 0, true};
    plane = zeros(old.plane.channels(), to);
    add_rows(plane, old.plane, T(1));
    release(old);
  }

  // sum += factor * term where both are.
  static void add_rows(Plane<T>& sum, const Plane<T>& term, T factor) {
    const Rect &s = sum.rect(), &t = term.rect();
    const Index x0 = std::max(s.x0, t.x0), n = std::min(s.x0 + s.width, t.x0 + t.width) - x0;
    for (Index c = 0; c < sum.channels(); ++c) {
      for (Index y = std::max(s.y0, t.y0); y < std::min(s.y0 + s.height, t.y0 + t.height); ++y) {
        T* to = sum.row(c, y - s.y0) + (x0 - s.x0);
        const T* from = term.row(c, y - t.y0) + (x0 - t.x0);
        for (Index x = 0; x < n; ++x) to[x] += factor * from[x];
      }
    }
  }

  // At the larger of the two scales.
  void add(Scaled<T>& sum, const Scaled<T>& term) {
    const Index e = std::max(sum.exponent, term.exponent);
    if (sum.exponent < e) multiply(sum.plane, power(sum.exponent - e));
    sum.exponent = e;
    add_rows(sum.plane, term.plane, power(term.exponent - e));
  }

  static T power(Index exponent) { return static_cast<T>(std::ldexp(1.0, static_cast<int>(std::max<Index>(exponent, -2000)))); }

  void tame(Scaled<T>& scaled, T peak) {
    if (peak == 0 || std::abs(std::ilogb(peak)) <= span<T>) return;
    const int e = std::ilogb(peak);
    multiply(scaled.plane, power(-e));
    scaled.exponent += e;
  }

  T largest(const Plane<T>& plane) const {
    T peak = 0;
    for (Index c = 0; c < plane.channels(); ++c) {
      for (Index y = 0; y < plane.rect().height; ++y) {
        const T* row = plane.row(c, y);
        const Index width = plane.rect().width;
        peak = std::max(peak, kernels_.max_abs(row, width));
        if (std::isfinite(kernels_.sum(row, width))) continue;
        for (Index x = 0; x < width; ++x) {  // not a number stays one
          if (row[x] != row[x]) return row[x];
        }
      }
    }
    return peak;
  }

  const Program& program_;
  Index limit_;
  Sharing sharing_;
  const Kernels<T>& kernels_;
  const RandomKernels& random_;
  Layout<T> layout_;
  Blended<T> blended_;
  Pooled<T> pooled_;
  ForwardStep<T> forward_;
  std::vector<Scaled<T>> values_, gradients_;
  std::vector<int> readers_, left_;
  std::vector<Step> steps_;
  std::vector<typename BackwardStep<T>::Scratch> scratch_;
  std::vector<Plane<T>> spares_;
  std::size_t gated_ = 0;  // operations before the end of the last gate: those above need no values
  Index margin_ = 1, draw_ = 0, index_ = 0;
  bool nudged_ = false;
  double kept_ = 0;  // logarithm of the share of the energy that no border took
};

}  // namespace erffast::simulation
