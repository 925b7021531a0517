// One window layer forward: y[o][i] = sum over channels and taps of w[o][c][a] x[c][stride * i + dilation * a - before].
//
// Without a stride that is a backward step with the kernel turned around, and goes through its register tiles. With one, the columns
// of the input are first sorted by their residue modulo the stride: what a tap reads along a row is contiguous then.
#pragma once

#include <algorithm>
#include <vector>

#include "direct/backward_step.hpp"
#include "erffast/plane.hpp"
#include "erffast/simulate.hpp"
#include "sharing.hpp"

namespace erffast::simulation {

// The same window for the engine's backward steps.
template <class T>
Run<T> run_of(const Window& window) {
  Run<T> run{};
  for (int axis = 0; axis < 2; ++axis) {
    run.kernel[axis] = window.kernel[axis];
    run.stride[axis] = window.stride[axis];
    run.dilation[axis] = window.dilation[axis];
    run.before[axis] = window.before[axis];
  }
  run.count = run.n_kernels = run.tap_draws = 1;
  return run;
}

// Channels that a layer joins: `out` and `in` of them, in groups. 0 out: each by itself, with one kernel for all.
struct Joined {
  Index out, in, groups;
};

template <class T>
class ForwardStep {  // of one layer after the other: what it works with keeps its room
 public:
  // The next layer; `taps` [channels out or 1, channels in / groups or 1, kernel rows, columns].
  void take(const Window& window, const Joined& joined, const T* taps) {
    window_ = window;
    joined_ = joined;
    taps_ = taps;
  }

  // Zero columns that planes must have at each side, of a rectangle that lacks at most `overhang` columns of padding.
  static Index margin(const Window& window, Index overhang) {
    return std::max((overhang + window.stride[1]) / window.stride[1], window.dilation[1] * (window.kernel[1] - 1)) + 1;
  }

  // Computes the rectangle `to` of the output map; returns its peak.
  T run(const Plane<T>& in, const Rect& to, Plane<T>& out, Index margin, Index limit, const Sharing& sharing) {
    return window_.stride[0] == 1 && window_.stride[1] == 1 ? turned(in, to, out, margin, limit, sharing) : strided(in, to, out, margin, limit, sharing);
  }

 private:
  // ------------------------------------------------------------------------------------------ without a stride
  T turned(const Plane<T>& in, const Rect& to, Plane<T>& out, Index margin, Index limit, const Sharing& sharing) {
    Run<T> run = run_of<T>(window_);
    for (int axis = 0; axis < 2; ++axis) run.before[axis] = window_.dilation[axis] * (window_.kernel[axis] - 1) - window_.before[axis];
    run.groups = joined_.groups;
    run.channels_out = joined_.out == 0 ? 0 : joined_.in;  // those that are added up
    run.channels_in = joined_.out == 0 ? 1 : joined_.out / joined_.groups;
    turn();
    const BackwardStep<T> step(run, turned_.data(), in, kernels_of<T>(kernel_table()));
    const Rect full = step.full_rect();
    out.reshape(step.channels(), full, margin, limit);
    const Index y0 = std::max(to.y0, full.y0), rows = std::min(to.y0 + to.height, full.y0 + full.height) - y0;
    if (rows <= 0) return clear(out, to, margin, limit);
    scratch_.resize(static_cast<std::size_t>(sharing.size()));
    const T peak = sharing.template largest<T>(step.channels() * rows, 8, step.work(), [&](int thread, Index first, Index last, const auto& poll) {
      T largest = 0;
      while (first < last) {  // one channel's rows at a time: those beyond `to` are left out
        const Index c = first / rows, y = y0 - full.y0 + first % rows, count = std::min(last - first, rows - first % rows);
        const Index begin = c * full.height + y;
        largest = std::max(largest, step.rows(out, begin, begin + count, scratch_[static_cast<std::size_t>(thread)], poll));
        first += count;
      }
      return largest;
    });
    const Index x0 = std::max(to.x0, full.x0), x1 = std::min(to.x0 + to.width, full.x0 + full.width);
    if (x1 <= x0) return clear(out, to, margin, limit);
    out.crop(y0 - full.y0, y0 - full.y0 + rows, x0 - full.x0, x1 - full.x0);
    return peak;
  }

  // [out][in / groups][a] to [in][out / groups][last - a].
  void turn() {
    const Index taps = window_.taps(), out = std::max<Index>(joined_.out, 1), in = joined_.out == 0 ? 1 : joined_.in / joined_.groups;
    const Index members = out / (joined_.out == 0 ? 1 : joined_.groups);
    turned_.resize(static_cast<std::size_t>(out * in * taps));
    for (Index o = 0; o < out; ++o) {
      for (Index c = 0; c < in; ++c) {
        const T* from = taps_ + (o * in + c) * taps;
        T* to = turned_.data() + ((o / members * in + c) * members + o % members) * taps;
        for (Index t = 0; t < taps; ++t) to[t] = from[taps - 1 - t];
      }
    }
  }

  T clear(Plane<T>& out, const Rect& to, Index margin, Index limit) {
    out.reshape(joined_.out == 0 ? joined_.in : joined_.out, to, margin, limit);
    for (Index c = 0; c < out.channels(); ++c) {
      for (Index y = 0; y < to.height; ++y) {
        std::fill_n(out.row(c, y), to.width, T(0));
        out.clear_margins(c, y);
      }
    }
    return 0;
  }

  // ------------------------------------------------------------------------------------------ with a stride
  T strided(const Plane<T>& in, const Rect& to, Plane<T>& out, Index margin, Index limit, const Sharing& sharing) {
    sort_columns(in, margin, limit);
    out.reshape(joined_.out == 0 ? joined_.in : joined_.out, to, margin, limit);
    const auto& kernels = kernels_of<T>(kernel_table());
    lists_.resize(static_cast<std::size_t>(sharing.size()));
    const Index rows = out.channels() * to.height, per_row = (joined_.out == 0 ? 1 : joined_.in / joined_.groups) * window_.taps() * to.width;
    return sharing.template largest<T>(rows, 8, rows * per_row, [&](int thread, Index first, Index last, const auto& poll) {
      std::vector<Tap<T>>& list = lists_[static_cast<std::size_t>(thread)];
      T largest = 0;
      for (Index r = first; r < last; ++r) {
        T* row = out.row(r / to.height, r % to.height);
        gather(in, r / to.height, to.y0 + r % to.height, to.x0, list);
        kernels.fir(row, list.data(), static_cast<Index>(list.size()), to.width);
        out.clear_margins(r / to.height, r % to.height);
        largest = std::max(largest, kernels.max_abs(row, to.width));
        if (!poll(per_row + 1)) break;
      }
      return largest;
    });
  }

  // sorted_ [channels * stride]: column q of residue f holds column stride * q + f of the input.
  void sort_columns(const Plane<T>& in, Index margin, Index limit) {
    const Rect& r = in.rect();
    const Index s = window_.stride[1];
    const Index first = floor_of(r.x0, s), last = floor_of(r.x0 + r.width - 1, s);
    sorted_.reshape(in.channels() * s, {r.y0, first, r.height, last - first + 1}, margin, limit);
    for (Index c = 0; c < in.channels(); ++c) {
      for (Index y = 0; y < r.height; ++y) {
        const T* from = in.row(c, y);
        for (Index f = 0; f < s; ++f) {
          T* to = sorted_.row(c * s + f, y);
          for (Index q = first; q <= last; ++q) {
            const Index x = s * q + f - r.x0;
            to[q - first] = x >= 0 && x < r.width ? from[x] : T(0);
          }
          sorted_.clear_margins(c * s + f, y);
        }
      }
    }
  }

  // What output row i of channel o adds up, from output column j on.
  void gather(const Plane<T>& in, Index o, Index i, Index j, std::vector<Tap<T>>& list) const {
    list.clear();
    const Index s = window_.stride[1], per_group = joined_.out == 0 ? 1 : joined_.in / joined_.groups;
    const Index group = joined_.out == 0 ? o : o / (joined_.out / joined_.groups) * per_group;
    const T* w = taps_ + (joined_.out == 0 ? 0 : o * per_group * window_.taps());
    for (Index c = group; c < group + per_group; ++c) {
      for (Index a = 0; a < window_.kernel[0]; ++a) {
        const Index y = window_.stride[0] * i + window_.dilation[0] * a - window_.before[0] - in.rect().y0;
        for (Index b = 0; b < window_.kernel[1]; ++b, ++w) {
          if (y < 0 || y >= in.rect().height || *w == T(0)) continue;
          const Index x = s * j + window_.dilation[1] * b - window_.before[1], q = floor_of(x, s);
          list.push_back({sorted_.row(c * s + (x - s * q), y) + (q - sorted_.rect().x0), *w});
        }
      }
    }
  }

  static Index floor_of(Index x, Index s) { return x >= 0 ? x / s : -((-x + s - 1) / s); }

  Window window_;
  Joined joined_{};
  const T* taps_ = nullptr;
  std::vector<T> turned_;
  std::vector<typename BackwardStep<T>::Scratch> scratch_;
  std::vector<std::vector<Tap<T>>> lists_;
  Plane<T> sorted_;
};

}  // namespace erffast::simulation
