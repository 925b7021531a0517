// Window layers where the channels of a pixel are side by side: a row of pixels is a product of matrices, tap by tap.
//
// Forward, y[i] += w[a] x[stride * i + dilation * a - before]; backward, x[stride * i + dilation * a - before] += w[a] y[i], gathered
// for each residue of a row's pixels modulo the stride.
#pragma once

#include <algorithm>
#include <vector>

#include "erffast/plane.hpp"
#include "erffast/simulate.hpp"
#include "sharing.hpp"
#include "simulation/layout.hpp"

namespace erffast::simulation {

template <class T>
class Blended {
 public:
  explicit Blended(const Layout<T>& layout) : layout_(layout) {}

  // `weights` [to, from, kernel rows, columns]: of a convolution, its output and input channels.
  T forward(const Window& window, const T* weights, const Value& from, const Plane<T>& in, const Value& to, Plane<T>& out, const Sharing& sharing) {
    pack(weights, window.taps(), to.channels, from.channels, true, sharing);
    return rows(window, from.channels, to.channels, to.rect, out, sharing, [&](Index y, std::vector<PixelTap<T>>& list, const auto& blend) {
      list.clear();
      for (Index a = 0; a < window.kernel[0]; ++a) {
        const Index row = window.stride[0] * y + window.dilation[0] * a - window.before[0] - from.rect.y0;
        if (row < 0 || row >= from.rect.height) continue;
        for (Index b = 0; b < window.kernel[1]; ++b) {
          const Index x = window.stride[1] * to.rect.x0 + window.dilation[1] * b - window.before[1] - from.rect.x0;
          list.push_back({in.row(0, row) + x * layout_.pitch(from.channels), panel(a * window.kernel[1] + b)});
        }
      }
      blend(list, window.stride[1], Index{0}, Index{1});
    });
  }

  // `gradient` of `from`, the layer's output; fills `full`, the whole rectangle that it reaches.
  T backward(const Window& window, const T* weights, const Value& from, const Plane<T>& gradient, const Value& full, Plane<T>& out, const Sharing& sharing) {
    pack(weights, window.taps(), from.channels, full.channels, false, sharing);
    const Index s = window.stride[1];
    return rows(window, from.channels, full.channels, full.rect, out, sharing, [&](Index y, std::vector<PixelTap<T>>& list, const auto& blend) {
      for (Index f = 0; f < std::min(s, full.rect.width); ++f) {
        list.clear();
        for (Index a = 0; a < window.kernel[0]; ++a) {
          const Index up = y + window.before[0] - window.dilation[0] * a;
          if (!divides(window.stride[0], up)) continue;
          const Index row = up / window.stride[0] - from.rect.y0;
          if (row < 0 || row >= from.rect.height) continue;
          for (Index b = 0; b < window.kernel[1]; ++b) {
            const Index left = full.rect.x0 + f + window.before[1] - window.dilation[1] * b;
            if (!divides(s, left)) continue;
            list.push_back({gradient.row(0, row) + (left / s - from.rect.x0) * layout_.pitch(from.channels), panel(a * window.kernel[1] + b)});
          }
        }
        blend(list, Index{1}, f, s);
      }
    });
  }

 private:
  static bool divides(Index s, Index x) { return x % s == 0; }
  const T* panel(Index tap) const { return panels_.data() + tap * panel_size_; }

  // panels_ [taps, channels read, pitch of the channels written], from [out, in, taps].
  void pack(const T* weights, Index taps, Index out, Index in, bool forward, const Sharing& sharing) {
    const Index read = forward ? in : out, written = forward ? out : in, pitch = layout_.pitch(written);
    panel_size_ = read * pitch;
    panels_.assign(static_cast<std::size_t>(taps * panel_size_), T(0));
    constexpr Index work = 8;  // multiply-adds that a weight takes the time of
    sharing.template largest<T>(out, 16, out * in * taps * work, [&](int, Index first, Index last, const auto& poll) {
      for (Index o = first; o < last; ++o) {
        const T* from = weights + o * in * taps;
        T* to = panels_.data() + (forward ? o : o * pitch);
        for (Index i = 0; i < in; ++i) {
          for (Index t = 0; t < taps; ++t) to[t * panel_size_ + i * (forward ? pitch : 1)] = *from++;
        }
        if (!poll(in * taps * work)) break;
      }
      return T(0);
    });
  }

  // make(y, list, blend) for each row of `rect`, shared out; returns the peak. blend(list, step between the pixels read, first pixel
  // written, step between them).
  template <class Make>
  T rows(const Window& window, Index read, Index written, const Rect& rect, Plane<T>& out, const Sharing& sharing, const Make& make) {
    const auto& kernels = kernels_of<T>(kernel_table());
    const Index pitch = layout_.pitch(written), work = rect.width * window.taps() * read * pitch;
    lists_.resize(static_cast<std::size_t>(sharing.size()));
    return sharing.template largest<T>(rect.height, 1, rect.height * work, [&](int thread, Index first, Index last, const auto& poll) {
      T largest = 0;
      for (Index y = first; y < last; ++y) {
        T* row = out.row(0, y);
        make(rect.y0 + y, lists_[static_cast<std::size_t>(thread)], [&](const std::vector<PixelTap<T>>& list, Index from_step, Index f, Index to_step) {
          kernels.blend({list.data(), static_cast<Index>(list.size()), read, from_step * layout_.pitch(read), row + f * pitch, to_step * pitch,
                         (rect.width - f + to_step - 1) / to_step, pitch});
        });
        out.clear_margins(0, y);
        largest = std::max(largest, kernels.max_abs(row, rect.width * pitch));
        if (!poll(work)) break;
      }
      return largest;
    });
  }

  Layout<T> layout_;
  std::vector<T> panels_;
  Index panel_size_ = 0;
  std::vector<std::vector<PixelTap<T>>> lists_;
};

}  // namespace erffast::simulation
