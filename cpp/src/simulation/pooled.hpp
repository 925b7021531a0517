// Fixed filters where the channels of a pixel are side by side: the same taps for each.
#pragma once

#include <algorithm>
#include <vector>

#include "erffast/plane.hpp"
#include "erffast/simulate.hpp"
#include "sharing.hpp"
#include "simulation/layout.hpp"

namespace erffast::simulation {

template <class T>
class Pooled {
 public:
  explicit Pooled(const Layout<T>& layout) : layout_(layout) {}

  T forward(const Window& w, const T* taps, const Value& from, const Plane<T>& in, const Value& to, Plane<T>& out, const Sharing& sharing) {
    return pixels(w, taps, from, in, to, out, sharing, [&](int axis, Index i, Index tap, Index& read) {
      read = w.stride[axis] * i + w.dilation[axis] * tap - w.before[axis];
      return true;
    });
  }

  T backward(const Window& w, const T* taps, const Value& from, const Plane<T>& gradient, const Value& full, Plane<T>& out, const Sharing& sharing) {
    return pixels(w, taps, from, gradient, full, out, sharing, [&](int axis, Index i, Index tap, Index& read) {
      const Index at = i + w.before[axis] - w.dilation[axis] * tap;
      read = at / w.stride[axis];
      return at % w.stride[axis] == 0;
    });
  }

 private:
  // meets(axis, place, tap, place read) tells whether there is one.
  template <class Meets>
  T pixels(const Window& w, const T* taps, const Value& from, const Plane<T>& in, const Value& to, Plane<T>& out, const Sharing& sharing, const Meets& meets) {
    const auto& kernels = kernels_of<T>(kernel_table());
    const Index pitch = layout_.pitch(to.channels), work = to.rect.width * w.taps() * pitch;
    lists_.resize(static_cast<std::size_t>(sharing.size()));
    const auto has = [&](int axis, Index& read) {
      read -= axis == 0 ? from.rect.y0 : from.rect.x0;
      return read >= 0 && read < (axis == 0 ? from.rect.height : from.rect.width);
    };
    return sharing.template largest<T>(to.rect.height, 8, to.rect.height * work, [&](int thread, Index first, Index last, const auto& poll) {
      std::vector<Tap<T>>& list = lists_[static_cast<std::size_t>(thread)];
      T largest = 0;
      for (Index y = first; y < last; ++y) {
        for (Index x = 0; x < to.rect.width; ++x) {
          list.clear();
          for (Index a = 0; a < w.kernel[0]; ++a) {
            Index row = 0, column = 0;
            if (!meets(0, to.rect.y0 + y, a, row) || !has(0, row)) continue;
            for (Index b = 0; b < w.kernel[1]; ++b) {
              if (meets(1, to.rect.x0 + x, b, column) && has(1, column)) list.push_back({in.row(0, row) + column * pitch, taps[a * w.kernel[1] + b]});
            }
          }
          kernels.fir(out.row(0, y) + x * pitch, list.data(), static_cast<Index>(list.size()), pitch);  // whole vectors: nothing is overrun
        }
        out.clear_margins(0, y);
        largest = std::max(largest, kernels.max_abs(out.row(0, y), to.rect.width * pitch));
        if (!poll(work)) break;
      }
      return largest;
    });
  }

  Layout<T> layout_;
  std::vector<std::vector<Tap<T>>> lists_;
};

}  // namespace erffast::simulation
