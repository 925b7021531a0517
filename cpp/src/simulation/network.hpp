// One random network at a time: its weights and input, forward to the last gate, and the gradient back to the input.
//
// Values and gradients are kept near 1 by powers of two, and what was taken out is counted: a network of any depth and any weights
// stays in range. Only where an activation's shape depends on the scale are values brought to their own.
#pragma once

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "direct/backward_step.hpp"
#include "erffast/plane.hpp"
#include "erffast/simulate.hpp"
#include "sharing.hpp"
#include "simulation/blended.hpp"
#include "simulation/forward_step.hpp"
#include "simulation/functions.hpp"
#include "simulation/gate.hpp"
#include "simulation/layout.hpp"
#include "simulation/maximum.hpp"
#include "simulation/norm.hpp"
#include "simulation/numbers.hpp"
#include "simulation/pooled.hpp"
#include "simulation/reduction.hpp"
#include "simulation/scaled.hpp"

namespace erffast::simulation {

// The unit's gradient of a second answer, to compare with that of 1: sums are rounded otherwise. In both precisions.
inline constexpr float other_start = 0x1.6a09e6p-1f;

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

// Columns of padding that the first or last window of an output rectangle reads.
inline Index overhang(const Program& program, const Operation& op) {
  const Rect &in = program.values[op.in].rect, &out = program.values[op.out].rect;
  const Window& w = op.window;
  const Index first = w.stride[1] * out.x0 - w.before[1], last = w.stride[1] * (out.x0 + out.width - 1) + w.dilation[1] * (w.kernel[1] - 1) - w.before[1];
  return std::max<Index>({0, in.x0 - first, last - (in.x0 + in.width - 1)});
}

// Zero columns that every plane must have at each side. Windows of channels side by side read the padding where it is; others read
// columns sorted by the stride.
template <class T>
Index margin_of(const Program& program, const Layout<T>& layout) {
  Index margin = 1, widest = 1;
  for (const Value& value : program.values) widest = std::max(widest, layout.pitch(value.channels));
  for (const Operation& op : program.operations) {
    const Index beyond = overhang(program, op);
    margin = std::max({margin, BackwardStep<T>::margin(run_of<T>(op.window)), layout.channels_last() ? beyond + 1 : ForwardStep<T>::margin(op.window, beyond)});
  }
  return margin * widest;
}

// Two branches of a gradient meet, of energies exp(one) and exp(other), of which borders left the shares exp(kept_one) and
// exp(kept_other): the logarithm of the share of both. Without borders energy / share would have come of each. So the account is what a
// chain's is, and in the mean over independent weights, where branches do not interfere, it is the energy that left. A branch of which
// nothing is left does not tell how much would have come, and is not counted.
inline double kept_of_both(double one, double kept_one, double other, double kept_other) {
  if (!std::isfinite(one)) return kept_other;
  if (!std::isfinite(other)) return kept_one;
  const double top = std::max(one, other), first = std::exp(one - top), second = std::exp(other - top);
  const double least = std::min(kept_one, kept_other);
  return std::log((first + second) / (first * std::exp(least - kept_one) + second * std::exp(least - kept_other))) + least;
}

template <class T>
class Network {
 public:
  Network(const Program& program, Index limit, const Sharing& sharing)
      : program_(program), sharing_(sharing), kernels_(kernels_of<T>(kernel_table())), layout_(side_by_side(program)),
        numbers_(program, layout_, sharing), planes_(margin_of<T>(program, layout_), limit), blended_(layout_), pooled_(layout_),
        values_(program.values.size()), gradients_(program.values.size()), kept_(program.values.size()), readers_(program.values.size()),
        steps_(program.operations.size(), Step(layout_)), scratch_(static_cast<std::size_t>(sharing.size())) {
    for (std::size_t i = 0; i < program.operations.size(); ++i) {
      const Operation& op = program.operations[i];
      ++readers_[op.in];
      if (op.kind == Kind::sum) ++readers_[op.other];
      if (op.kind == Kind::activation || op.kind == Kind::maximum || op.kind == Kind::norm || op.kind == Kind::dropout) gated_ = i + 1;
    }
  }

  // Draw number `draw`, the `index`th of this call; `image` [rows, columns] of the input's rectangle.
  Drawn run(Index draw, Index index, double* image) {
    numbers_.start(draw, index, false);
    if (!gradient(T(1))) return {0, Fate::not_finite};
    Drawn drawn = reduce(gradients_[0], layout_, program_.values[0], program_.reduction, image);
    drawn.border = -std::expm1(kept_[0]);
    planes_.release(gradients_[0]);
    sharing_.monitor().add_done(static_cast<Index>(program_.operations.size()));
    return drawn;
  }

  // An estimate of the error of a draw's gradient, relative to its peak: how far two answers are apart that are the same but for
  // rounding, because every weight is the next number, up or down, and the unit's gradient another one. Deep networks with few channels
  // amplify rounding layer by layer, and no bound would tell closely how much.
  double rounding(Index draw, Index index) {
    numbers_.start(draw, index, true);
    const bool finite = gradient(static_cast<T>(other_start));
    numbers_.start(draw, index, false);
    Scaled<T> other = std::move(gradients_[0]);
    gradients_[0].present = false;
    const double far = finite && gradient(T(1)) && gradients_[0].present ? distance(gradients_[0], other, static_cast<double>(other_start)) : 0.0;
    planes_.release(gradients_[0]);
    planes_.release(other);
    return far;
  }

 private:
  struct Step {  // what an operation keeps for the way back
    explicit Step(const Layout<T>& layout) : chosen(layout) {}
    std::vector<T> weights;
    Index exponent = 0;  // of the weights
    Gate<T> gate;
    Chosen<T> chosen;
    Norm<T> norm;
  };

  // ---------------------------------------------------------------------------------------------- forward
  bool forward() {
    left_ = readers_;
    values_[0] = {planes_.zeros(layout_.planes(program_.values[0]), layout_.rect(program_.values[0])), 0, true};
    numbers_.input(values_[0]);
    for (std::size_t i = 0; i < gated_; ++i) {
      const Operation& op = program_.operations[i];
      if (!forward(op, steps_[i])) return false;
    }
    for (Scaled<T>& value : values_) planes_.release(value);
    return true;
  }

  // Returns whether all is finite.
  bool forward(const Operation& op, Step& step) {
    const Value& to = program_.values[op.out];
    Scaled<T>& out = values_[op.out];
    switch (op.kind) {
      case Kind::convolution: {
        step.exponent = numbers_.weights(op, step.weights);
        if (!windowed(op, step)) return false;
        break;
      }
      case Kind::filter: {
        make_taps(op, step);
        if (!windowed(op, step)) return false;
        if (op.shares != nullptr) multiply(out.plane, layout_, to, op.shares);
        break;
      }
      case Kind::maximum: {
        out = {planes_.zeros(layout_.planes(to), layout_.rect(to)), values_[op.in].exponent, true};
        step.chosen.forward(op.window, program_.values[op.in], values_[op.in].plane, to, out.plane, sharing_);
        break;
      }
      case Kind::norm: {
        out = taken(op.in);
        step.norm.forward(layout_, program_.values[op.in], out);
        planes_.fit(out.plane, layout_.rect(to));
        break;
      }
      case Kind::activation: {
        out = taken(op.in);
        planes_.fit(out.plane, layout_.rect(to));
        if (!scale_free(op.function) && out.exponent != 0) {
          multiply(out.plane, power_of_two<T>(out.exponent));
          out.exponent = 0;
          if (!std::isfinite(largest(out.plane))) return false;
        }
        activate(op.function, out.plane, step.gate);
        break;
      }
      case Kind::dropout: {
        out = taken(op.in);
        planes_.fit(out.plane, layout_.rect(to));
        numbers_.mask(op, out.plane, step.gate);
        break;
      }
      case Kind::scale: {
        out = taken(op.in);
        planes_.fit(out.plane, layout_.rect(to));
        multiply(out.plane, static_cast<T>(op.number));
        out.exponent += op.exponent;
        break;
      }
      case Kind::sum: {
        out = taken(op.in);
        planes_.fit(out.plane, layout_.rect(to));
        add(out, values_[op.other]);
        read(op.other);
        break;
      }
    }
    if (op.kind == Kind::convolution || op.kind == Kind::filter || op.kind == Kind::maximum) read(op.in);
    return true;
  }

  // Returns whether all is finite.
  bool windowed(const Operation& op, const Step& step) {
    const Value &from = program_.values[op.in], &to = program_.values[op.out];
    const Scaled<T>& in = values_[op.in];
    Scaled<T>& out = values_[op.out];
    out = {planes_.spare(), in.exponent + step.exponent, true};
    T peak;
    if (layout_.channels_last()) {
      out.plane.reshape(1, layout_.rect(to), planes_.margin(), planes_.limit());
      peak = op.kind == Kind::convolution ? blended_.forward(op.window, step.weights.data(), from, in.plane, to, out.plane, sharing_)
                                          : pooled_.forward(op.window, step.weights.data(), from, in.plane, to, out.plane, sharing_);
    } else {
      forward_.take(op.window, joined(op), step.weights.data());
      peak = forward_.run(in.plane, to.rect, out.plane, planes_.margin(), planes_.limit(), sharing_);
      planes_.fit(out.plane, to.rect);
    }
    tame(out, peak);
    return std::isfinite(peak);
  }

  Joined joined(const Operation& op) const {
    const Index in = program_.values[op.in].channels;
    return op.kind == Kind::filter ? Joined{0, in, 1} : Joined{program_.values[op.out].channels, in, op.groups};
  }

  void make_taps(const Operation& op, Step& step) {
    step.weights.assign(op.taps, op.taps + op.window.taps());
    step.exponent = 0;
  }

  // A value for an operation that changes it: the value itself where nothing else reads it.
  Scaled<T> taken(std::size_t value) {
    if (--left_[value] == 0) {
      values_[value].present = false;
      return {std::move(values_[value].plane), values_[value].exponent, true};
    }
    return {planes_.copied(values_[value].plane), values_[value].exponent, true};
  }

  // An operation has read a value: the last one gives its memory back.
  void read(std::size_t value) {
    if (--left_[value] == 0) planes_.release(values_[value]);
  }

  // ---------------------------------------------------------------------------------------------- backward
  // From a gradient of `start` at the unit; leaves that of the input in gradients_[0]. Returns whether all values were finite.
  bool gradient(T start) {
    std::fill(kept_.begin(), kept_.end(), 0.0);
    if (gated_ > 0 && !forward()) return false;
    backward(start);
    return true;
  }

  void backward(T start) {
    const std::size_t last = program_.values.size() - 1;
    const Value& unit = program_.values[last];
    gradients_[last] = {planes_.zeros(layout_.planes(unit), layout_.rect(unit)), 0, true};
    gradients_[last].plane.row(0, 0)[0] = start;
    for (std::size_t i = program_.operations.size(); i-- > 0;) {
      const Operation& op = program_.operations[i];
      Scaled<T>& above = gradients_[op.out];
      if (above.present) backward(op, steps_[i], above, i >= gated_);
      planes_.release(above);
    }
  }

  // `fresh`: the way forward ended before this operation.
  void backward(const Operation& op, Step& step, Scaled<T>& above, bool fresh) {
    switch (op.kind) {
      case Kind::convolution:
        if (fresh) step.exponent = numbers_.weights(op, step.weights);
        return spread(op, step, above);
      case Kind::filter:
        if (fresh) make_taps(op, step);
        if (op.shares != nullptr) multiply(above.plane, layout_, program_.values[op.out], op.shares);
        return spread(op, step, above);
      case Kind::maximum: {
        const Value& in = program_.values[op.in];
        Scaled<T> below{planes_.zeros(layout_.planes(in), layout_.rect(in)), above.exponent, true};
        step.chosen.backward(op.window, program_.values[op.out], above.plane, in, below.plane);
        return receive(op.in, below, kept_[op.out]);
      }
      case Kind::norm:
        step.norm.backward(layout_, program_.values[op.out], above);
        return receive(op.in, above, kept_[op.out]);
      case Kind::activation:
      case Kind::dropout:
        step.gate.apply(above.plane);
        return receive(op.in, above, kept_[op.out]);
      case Kind::scale: {
        multiply(above.plane, static_cast<T>(op.number));
        above.exponent += op.exponent;
        return receive(op.in, above, kept_[op.out]);
      }
      case Kind::sum: {
        Scaled<T> other{planes_.copied(above.plane), above.exponent, true};
        receive(op.other, other, kept_[op.out]);
        return receive(op.in, above, kept_[op.out]);
      }
    }
  }

  // Through a convolution or a filter.
  void spread(const Operation& op, const Step& step, const Scaled<T>& above) {
    Scaled<T> below{planes_.spare(), above.exponent + step.exponent, true};
    const T peak = layout_.channels_last() ? spread_pixels(op, step, above.plane, below.plane) : spread_planes(op, step, above.plane, below.plane);
    tame(below, peak);
    if (peak != 0) return receive(op.in, below, kept_[op.out]);
    planes_.release(below);
  }

  T spread_planes(const Operation& op, const Step& step, const Plane<T>& above, Plane<T>& below) {
    Run<T> run = run_of<T>(op.window);
    const Joined channels = joined(op);
    run.channels_out = channels.out;
    run.channels_in = channels.out == 0 ? 1 : channels.in / channels.groups;
    run.groups = channels.groups;
    const BackwardStep<T> back(run, step.weights.data(), above, kernels_);
    below.reshape(back.channels(), back.full_rect(), planes_.margin(), planes_.limit());
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
    below.reshape(1, layout_.rect(full), planes_.margin(), planes_.limit());
    return op.kind == Kind::convolution ? blended_.backward(w, step.weights.data(), from, above, full, below, sharing_)
                                        : pooled_.backward(w, step.weights.data(), from, above, full, below, sharing_);
  }

  // A gradient for a value, moved from, and the logarithm of the share of it that borders have left so far. What lies outside the
  // value's rectangle meets the border of the map here.
  void receive(std::size_t value, Scaled<T>& gradient, double kept) {
    const Rect rect = layout_.rect(program_.values[value]);
    Scaled<T>& sum = gradients_[value];
    kept += log_share(gradient.plane, rect);
    planes_.fit(gradient.plane, rect);
    if (!sum.present) {
      sum = std::move(gradient);
      gradient.present = false;
      kept_[value] = kept;
      return;
    }
    if (kept != kept_[value]) kept_[value] = kept_of_both(log_energy(sum), kept_[value], log_energy(gradient), kept);
    add(sum, gradient);
    planes_.release(gradient);
  }

  // The logarithm of the share of a gradient's energy that lies inside a rectangle.
  double log_share(const Plane<T>& gradient, const Rect& rect) const {
    const Rect& r = gradient.rect();
    const Index y0 = std::max(r.y0, rect.y0) - r.y0, y1 = std::min(r.y0 + r.height, rect.y0 + rect.height) - r.y0;
    const Index x0 = std::max(r.x0, rect.x0) - r.x0, x1 = std::min(r.x0 + r.width, rect.x0 + rect.width) - r.x0;
    if (y0 == 0 && x0 == 0 && y1 == r.height && x1 == r.width) return 0;
    const double all = energy(gradient, 0, r.height, 0, r.width);
    return all > 0 ? std::log(energy(gradient, y0, y1, x0, x1) / all) : 0.0;
  }

  double log_energy(const Scaled<T>& gradient) const {
    const Rect& r = gradient.plane.rect();
    return std::log(energy(gradient.plane, 0, r.height, 0, r.width)) + 2 * std::numbers::ln2 * static_cast<double>(gradient.exponent);
  }

  double energy(const Plane<T>& gradient, Index y0, Index y1, Index x0, Index x1) const {
    double sum = 0;
    for (Index c = 0; c < gradient.channels(); ++c) {
      for (Index y = y0; y < y1 && x1 > x0; ++y) sum += kernels_.sum_of_squares(gradient.row(c, y) + x0, x1 - x0, T(1));
    }
    return sum;
  }

  const Program& program_;
  Sharing sharing_;
  const Kernels<T>& kernels_;
  Layout<T> layout_;
  Numbers<T> numbers_;
  Planes<T> planes_;
  Blended<T> blended_;
  Pooled<T> pooled_;
  ForwardStep<T> forward_;
  std::vector<Scaled<T>> values_, gradients_;
  std::vector<double> kept_;  // per value, the logarithm of the share of its gradient's energy that no border took
  std::vector<int> readers_, left_;
  std::vector<Step> steps_;
  std::vector<typename BackwardStep<T>::Scratch> scratch_;
  std::size_t gated_ = 0;  // operations before the end of the last gate: those above need no values
};

}  // namespace erffast::simulation
