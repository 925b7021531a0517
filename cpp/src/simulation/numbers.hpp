// What is random in a network, or given in its place: weights, the input, and the masks of dropout.
#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "erffast/philox.hpp"
#include "erffast/simulate.hpp"
#include "sharing.hpp"
#include "simulation/gate.hpp"
#include "simulation/layout.hpp"
#include "simulation/scaled.hpp"

namespace erffast::simulation {

template <class T>
class Numbers {
 public:
  Numbers(const Program& program, const Layout<T>& layout, const Sharing& sharing)
      : program_(program), layout_(layout), sharing_(sharing), random_(*kernel_table().random) {}

  // From here on those of draw number `draw`, the `index`th of this call. `nudged`: with every weight the next number, up or down.
  void start(Index draw, Index index, bool nudged) {
    draw_ = draw;
    index_ = index;
    nudged_ = nudged;
  }

  // Of a convolution [channels out, channels in / groups, taps]; returns their power of two.
  Index weights(const Operation& op, std::vector<T>& numbers) const {
    const Index out = program_.values[op.out].channels, in = program_.values[op.in].channels / op.groups, taps = op.window.taps();
    const Index n = out * in * taps;
    numbers.resize(static_cast<std::size_t>(n));
    T* weights = numbers.data();
    if (op.weights == nullptr) {
      fill(n, stream(&op, Purpose::weight), random_.normals, [&](Index first, Index count, const double* normals) {
        Index tap = first % taps;
        for (Index i = 0; i < count; ++i, tap = tap + 1 < taps ? tap + 1 : 0) weights[first + i] = static_cast<T>(normals[i] * op.spread[tap]);
      });
      nudge(numbers);
      return op.exponent;
    }
    const double* from = op.weights + (op.weight_draws == 1 ? 0 : index_ * n);
    const int e = excess(from, n);
    const double factor = std::ldexp(1.0, -e);
    for (Index i = 0; i < n; ++i) weights[i] = static_cast<T>(from[i] * factor);
    nudge(numbers);
    return op.exponent + e;
  }

  // The input, to zeros of its rectangle.
  void input(Scaled<T>& input) const {
    const Value& value = program_.values[0];
    const Index n = value.channels * value.rect.height * value.rect.width;
    const auto set = [&](Index first, Index count, const double* numbers) { set_pixels(value, input.plane, first, count, numbers, 1.0); };
    switch (program_.filling) {
      case Filling::normal: return fill(n, stream(nullptr, Purpose::input), random_.normals, set);
      case Filling::uniform: return fill(n, stream(nullptr, Purpose::input), random_.uniforms, set);
      case Filling::given: {
        const double* given = program_.inputs + (program_.input_draws == 1 ? 0 : index_ * n);
        const int e = excess(given, n);
        set_pixels(value, input.plane, 0, n, given, std::ldexp(1.0, -e));
        input.exponent = program_.input_exponent + e;
      }
    }
  }

  // Of a dropout, which the pixels are multiplied by at once.
  void mask(const Operation& op, Plane<T>& plane, Gate<T>& gate) const {
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

 private:
  Stream stream(const Operation* op, Purpose purpose) const {
    return {program_.seed, static_cast<std::uint32_t>(draw_), op == nullptr ? 0 : op->layer, purpose};
  }

  // The power of two to take out of numbers whose peak is far from 1, so that they are normal numbers of any dtype; else 0.
  int excess(const double* numbers, Index n) const {
    const double peak = kernels_of<double>(kernel_table()).max_abs(numbers, n);
    const int e = peak > 0 ? std::ilogb(peak) : 0;
    return std::abs(e) <= span<T> / 2 ? 0 : e;
  }

  void nudge(std::vector<T>& weights) const {
    constexpr T up = 1 + std::numeric_limits<T>::epsilon(), down = 1 - std::numeric_limits<T>::epsilon();
    for (std::size_t i = 0; i < weights.size() && nudged_; ++i) weights[i] *= std::popcount(i * 0x9E3779B97F4A7C15) % 2 == 0 ? up : down;
  }

  // The first n random numbers of a stream, shared out in pairs: visit(first, count, numbers).
  template <class Visit>
  void fill(Index n, const Stream& numbers, MakeRow make, const Visit& visit) const {
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

  // Pixels [first, first + n) of a map, counted along its rows, its columns of rows and its channels.
  void set_pixels(const Value& value, Plane<T>& plane, Index first, Index n, const double* numbers, double factor) const {
    const Index width = value.rect.width, height = value.rect.height, step = layout_.step(value.channels);
    for (const Index end = first + n; first < end;) {
      const Index row = first / width, x = first % width, count = std::min(end - first, width - x);
      T* to = layout_.row(plane, row / height, row % height) + x * step;
      for (Index i = 0; i < count; ++i) to[i * step] = static_cast<T>(numbers[i] * factor);
      first += count;
      numbers += count;
    }
  }

  const Program& program_;
  const Layout<T>& layout_;
  Sharing sharing_;
  const RandomKernels& random_;
  Index draw_ = 0, index_ = 0;
  bool nudged_ = false;
};

}  // namespace erffast::simulation
