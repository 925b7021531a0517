// Max-pooling forward, and its gradient back to the pixels that were chosen.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "erffast/plane.hpp"
#include "erffast/simulate.hpp"
#include "sharing.hpp"
#include "simulation/layout.hpp"

namespace erffast::simulation {

// Which tap each window chose: the first of the largest, row by row, as torch does.
template <class T>
class Chosen {
 public:
  explicit Chosen(const Layout<T>& layout) : layout_(layout) {}

  // Into `out`, zeros before; padding is never chosen.
  void forward(const Window& window, const Value& from, const Plane<T>& in, const Value& to, Plane<T>& out, const Sharing& sharing) {
    const Index step = layout_.step(to.channels), width = to.rect.width, rows = to.channels * to.rect.height, work = width * window.taps();
    taps_.resize(static_cast<std::size_t>(rows * width));
    sharing.template largest<T>(rows, 8, rows * work, [&](int, Index first, Index last, const auto& poll) {
      for (Index r = first; r < last; ++r) {
        const Index c = r / to.rect.height, y = r % to.rect.height;
        T* row = layout_.row(out, c, y);
        std::uint16_t* tap = taps_.data() + r * width;
        for (Index x = 0; x < width; ++x) row[x * step] = largest(window, from, in, c, to.rect.y0 + y, to.rect.x0 + x, tap[x]);
        if (!poll(work)) break;
      }
      return T(0);
    });
  }

  // Adds the `gradient` of the output to that of the input.
  void backward(const Window& window, const Value& to, const Plane<T>& gradient, const Value& from, Plane<T>& out) const {
    const Index step = layout_.step(to.channels);
    const std::uint16_t* tap = taps_.data();
    for (Index c = 0; c < to.channels; ++c) {
      for (Index y = 0; y < to.rect.height; ++y) {
        const T* row = layout_.row(gradient, c, y);
        for (Index x = 0; x < to.rect.width; ++x, ++tap) {
          if (*tap == none) continue;
          const Index a = *tap / window.kernel[1], b = *tap % window.kernel[1];
          T* below = layout_.row(out, c, read(window, 0, to.rect.y0 + y, a) - from.rect.y0);
          below[(read(window, 1, to.rect.x0 + x, b) - from.rect.x0) * step] += row[x * step];
        }
      }
    }
  }

 private:
  static constexpr std::uint16_t none = std::numeric_limits<std::uint16_t>::max();  // a window of padding only

  static Index read(const Window& window, int axis, Index i, Index tap) {
    return window.stride[axis] * i + window.dilation[axis] * tap - window.before[axis];
  }

  T largest(const Window& window, const Value& from, const Plane<T>& in, Index c, Index i, Index j, std::uint16_t& chosen) const {
    const Rect& r = from.rect;
    const Index step = layout_.step(from.channels);
    T best = 0;
    chosen = none;
    for (Index a = 0; a < window.kernel[0]; ++a) {
      const Index y = read(window, 0, i, a) - r.y0;
      if (y < 0 || y >= r.height) continue;
      const T* row = layout_.row(in, c, y);
      for (Index b = 0; b < window.kernel[1]; ++b) {
        const Index x = read(window, 1, j, b) - r.x0;
        if (x < 0 || x >= r.width || (chosen != none && !(row[x * step] > best))) continue;
        best = row[x * step];
        chosen = static_cast<std::uint16_t>(a * window.kernel[1] + b);
      }
    }
    return best;
  }

  Layout<T> layout_;
  std::vector<std::uint16_t> taps_;
};

}  // namespace erffast::simulation
