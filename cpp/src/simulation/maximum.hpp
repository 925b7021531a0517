// Max-pooling forward, and its gradient back to the pixels that were chosen.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "erffast/plane.hpp"
#include "erffast/simulate.hpp"

namespace erffast::simulation {

// Which tap each window chose: the first of the largest, row by row, as torch does.
template <class T>
class Chosen {
 public:
  // The rectangle `to` of the output map; padding is never chosen. Returns its peak.
  T forward(const Window& window, const Plane<T>& in, const Rect& to, Plane<T>& out, Index margin, Index limit) {
    out.reshape(in.channels(), to, margin, limit);
    taps_.resize(static_cast<std::size_t>(in.channels() * to.height * to.width));
    T peak = 0;
    std::uint16_t* tap = taps_.data();
    for (Index c = 0; c < in.channels(); ++c) {
      for (Index y = 0; y < to.height; ++y) {
        T* row = out.row(c, y);
        for (Index x = 0; x < to.width; ++x, ++tap) {
          row[x] = largest(window, in, c, to.y0 + y, to.x0 + x, *tap);
          peak = std::max(peak, std::abs(row[x]));
        }
        out.clear_margins(c, y);
      }
    }
    return peak;
  }

  // `gradient`: of the output rectangle. Adds to `out`, of the input's rectangle.
  void backward(const Window& window, const Plane<T>& gradient, Plane<T>& out) const {
    const Rect& to = gradient.rect();
    const std::uint16_t* tap = taps_.data();
    for (Index c = 0; c < gradient.channels(); ++c) {
      for (Index y = 0; y < to.height; ++y) {
        const T* row = gradient.row(c, y);
        for (Index x = 0; x < to.width; ++x, ++tap) {
          if (*tap == none) continue;
          const Index a = *tap / window.kernel[1], b = *tap % window.kernel[1];
          out.row(c, read(window, 0, to.y0 + y, a) - out.rect().y0)[read(window, 1, to.x0 + x, b) - out.rect().x0] += row[x];
        }
      }
    }
  }

 private:
  static constexpr std::uint16_t none = std::numeric_limits<std::uint16_t>::max();  // a window of padding only

  static Index read(const Window& window, int axis, Index i, Index tap) {
    return window.stride[axis] * i + window.dilation[axis] * tap - window.before[axis];
  }

  static T largest(const Window& window, const Plane<T>& in, Index c, Index i, Index j, std::uint16_t& chosen) {
    const Rect& r = in.rect();
    T best = 0;
    chosen = none;
    for (Index a = 0; a < window.kernel[0]; ++a) {
      const Index y = read(window, 0, i, a) - r.y0;
      if (y < 0 || y >= r.height) continue;
      const T* row = in.row(c, y);
      for (Index b = 0; b < window.kernel[1]; ++b) {
        const Index x = read(window, 1, j, b) - r.x0;
        if (x < 0 || x >= r.width || (chosen != none && !(row[x] > best))) continue;
        best = row[x];
        chosen = static_cast<std::uint16_t>(a * window.kernel[1] + b);
      }
    }
    return best;
  }

  std::vector<std::uint16_t> taps_;
};

}  // namespace erffast::simulation
