// One backward step: spread the pixels by the stride, then convolve with the dilated kernel.
//
//   out[s*i + d*a] += w[a] * in[i]        (corner of `out` = s * corner of `in` - p)
//
// Gather form. Row v of the output meets the kernel rows a with (v - d*a) divisible by s, which read input row
// (v - d*a) / s; within a row, the columns of one residue f modulo s meet the same taps and read contiguous input pixels.
// So each output row is s short FIR sums over contiguous rows (one for stride 1), whatever the kernel, dilation and channels.
#pragma once

#include <algorithm>
#include <vector>

#include "erffast/kernels.hpp"
#include "erffast/plane.hpp"
#include "erffast/threads.hpp"

namespace erffast {

// `parts`: 1, or 2 for pixels in double-double arithmetic; taps are plain numbers.
template <class T, int parts = 1>
class BackwardStep {
 public:
  // `taps` [channels_out or 1, channels_in, kh, kw], already scaled.
  BackwardStep(const Run<T>& run, const T* taps, const Plane<T>& in, const Kernels<T>& kernels)
      : run_(run), taps_(taps), in_(in), kernels_(kernels), shared_(run.channels_out == 0) {}

  Index channels() const { return shared_ ? in_.channels() : run_.groups * run_.channels_in; }

  Rect full_rect() const {
    const Rect& r = in_.rect();
    return {r.y0 * run_.stride[0] - run_.before[0], r.x0 * run_.stride[1] - run_.before[1],
            run_.stride[0] * (r.height - 1) + run_.dilation[0] * (run_.kernel[0] - 1) + 1,
            run_.stride[1] * (r.width - 1) + run_.dilation[1] * (run_.kernel[1] - 1) + 1};
  }

  // Zero columns that `in` must have at each side.
  static Index margin(const Run<T>& run) { return run.dilation[1] * (run.kernel[1] - 1) / run.stride[1] + 1; }

  // Of the whole step, in plain multiply-adds.
  Index work() const {
    const Rect r = full_rect();
    const Index per_pixel = run_.kernel[0] * run_.kernel[1] * (shared_ ? 1 : run_.channels_out / run_.groups);
    return cost * channels() * r.height * r.width * per_pixel / (run_.stride[0] * run_.stride[1]) + 1;
  }

  // Computes output row v of channel c. `scratch` keeps its capacity between rows. `poll(work)` is called after each piece of
  // work (multiply-adds) and returns false to give up.
  struct Scratch {
    std::vector<Tap<T>> taps;
    std::vector<T> row;
  };
  template <class Poll>
  void row(Plane<T>& out, Index c, Index v, Scratch& scratch, const Poll& poll) const {
    const Index width = out.rect().width;
    const Index s = run_.stride[1];
    T* target = out.row(c, v);
    for (Index f = 0; f < s && f < width; ++f) {
      const Index n = (width - f + s - 1) / s;
      gather(c, v, f, scratch.taps);
      if (s == 1) {
        if (!fir(target, out.low(), n, scratch.taps, poll)) return;
      } else {
        const Index pitch = n + overrun;
        scratch.row.resize(static_cast<std::size_t>(parts * pitch));
        if (!fir(scratch.row.data(), pitch, n, scratch.taps, poll)) return;
        for (Index part = 0; part < parts; ++part) {
          for (Index q = 0; q < n; ++q) target[part * out.low() + f + s * q] = scratch.row[static_cast<std::size_t>(part * pitch + q)];
        }
      }
    }
    out.clear_margins(c, v);
  }

 private:
  // A whole row at once is best, unless it keeps Ctrl-C waiting: a long 1-D image under a large kernel is one row.
  static constexpr Index most_work = 30'000'000;

  // Time of a multiply-add in plain ones. In double-double: 2 to 5 (measured), and some 20 where the C library has to fuse.
  static constexpr Index cost = parts == 1 ? 1 : 8;

  // The sums of one row, in pieces; destroys `taps`. `low`: from a sum's high part to its low part.
  template <class Poll>
  bool fir(T* target, Index low, Index n, std::vector<Tap<T>>& taps, const Poll& poll) const {
    const Index n_taps = static_cast<Index>(taps.size());
    const Index piece = std::max<Index>(most_work / cost / (n_taps + 1), 64);
    for (Index x = 0; x < n; x += piece) {
      const Index width = std::min(piece, n - x);
      if constexpr (parts == 2) {
        kernel_table().exact->fir(target + x, low, taps.data(), n_taps, in_.low(), width);
      } else {
        kernels_.fir(target + x, taps.data(), n_taps, width);
      }
      if (!poll(cost * n_taps * width)) return false;
      if (x + width < n) {
        for (Tap<T>& tap : taps) tap.source += width;
      }
    }
    return true;
  }

  // Taps in a fixed order (channel, kernel row, kernel column): the order of the sums, whatever the threads. Zero taps are
  // left out: a layer that only strides costs one.
  void gather(Index c, Index v, Index f, std::vector<Tap<T>>& list) const {
    list.clear();
    const Index kh = run_.kernel[0], kw = run_.kernel[1];
    const Index per_group_out = shared_ ? 1 : run_.channels_out / run_.groups;
    const Index group = shared_ ? 0 : c / run_.channels_in;
    const Index member = shared_ ? 0 : c % run_.channels_in;
    for (Index o = 0; o < per_group_out; ++o) {
      const Index source = shared_ ? c : group * per_group_out + o;
      const T* w = taps_ + (shared_ ? 0 : (source * run_.channels_in + member) * kh * kw);
      for (Index a = 0; a < kh; ++a) {
        const Index up = v - run_.dilation[0] * a;
        if (up < 0 || up % run_.stride[0] != 0 || up / run_.stride[0] >= in_.rect().height) continue;
        const T* row = in_.row(source, up / run_.stride[0]);
        for (Index b = 0; b < kw; ++b) {
          const T weight = w[a * kw + b];
          const Index left = f - run_.dilation[1] * b;
          if (weight == T(0) || left % run_.stride[1] != 0) continue;
          list.push_back({row + left / run_.stride[1], weight});
        }
      }
    }
  }

  const Run<T>& run_;
  const T* taps_;
  const Plane<T>& in_;
  const Kernels<T>& kernels_;
  bool shared_;
};

}  // namespace erffast
