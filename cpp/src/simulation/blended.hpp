// Window layers where the channels of a pixel are side by side: a row of pixels is a product of matrices, tap by tap.
//
// Forward, y[i] += w[a] x[stride * i + dilation * a - before]; backward, x[stride * i + dilation * a - before] += w[a] y[i], gathered
// for each residue of a row's pixels modulo the stride.
#pragma once

#include <algorithm>
#include <vector>

#include "erffast/memory.hpp"
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
  const T* panel(Index tap) const { return panels_.get() + tap * panel_size_; }

  // panels_ [taps, channels read, pitch of the channels written], from [out, in, taps].
  void pack(const T* weights, Index taps, Index out, Index in, bool forward, const Sharing& sharing) {
    const Index read = forward ? in : out, pitch = layout_.pitch(forward ? out : in);
    panel_size_ = read * pitch;
    make_room(taps * panel_size_);
    constexpr Index work = 4;  // multiply-adds that a weight takes the time of
    const Index blocks = (out + channel_line<T> - 1) / channel_line<T>;
    sharing.template largest<T>(blocks, 1, out * in * taps * work, [&](int, Index first, Index last, const auto& poll) {
      for (Index block = first; block < last; ++block) {
        const Index o = block * channel_line<T>, count = std::min(channel_line<T>, out - o);
        forward ? pack_forward(weights + o * in * taps, taps, in, count, pitch, panels_.get() + o)
                : pack_backward(weights + o * in * taps, taps, in, count, pitch, panels_.get() + o * pitch);
        if (!poll(count * in * taps * work)) break;
      }
      return T(0);
    });
  }

  // One line of output channels at a time: what is read and what is written stay in the first cache.
  void pack_forward(const T* from, Index taps, Index in, Index count, Index pitch, T* to) {
    for (Index i = 0; i < in; ++i) {
      for (Index t = 0; t < taps; ++t) {
        T* line = to + t * panel_size_ + i * pitch;
        for (Index o = 0; o < count; ++o) line[o] = from[(o * in + i) * taps + t];
        std::fill(line + count, line + channel_line<T>, T(0));
      }
    }
  }

  void pack_backward(const T* from, Index taps, Index in, Index count, Index pitch, T* to) {
    for (Index o = 0; o < count; ++o) {
      for (Index i = 0; i < in; ++i) {
        for (Index t = 0; t < taps; ++t) to[t * panel_size_ + o * pitch + i] = *from++;
      }
      for (Index t = 0; t < taps; ++t) std::fill_n(to + t * panel_size_ + o * pitch + in, pitch - in, T(0));
    }
  }

  void make_room(Index n) {
    if (n <= room_) return;
    panels_.reset();
    panels_ = new_pixels<T>(n);
    room_ = n;
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
  Pixels<T> panels_;  // on whole cache lines
  Index room_ = 0, panel_size_ = 0;
  std::vector<std::vector<PixelTap<T>>> lists_;
};

}  // namespace erffast::simulation
