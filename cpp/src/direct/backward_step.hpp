// One backward step: spread the pixels by the stride, then convolve with the dilated kernel.
//
//   out[s*i + d*a] += w[a] * in[i]        (corner of `out` = s * corner of `in` - p)
//
// Gather form. Row v of the output meets the kernel rows a with (v - d*a) divisible by s, which read input row
// (v - d*a) / s; within a row, the columns of one residue f modulo s meet the same taps and read contiguous input pixels.
// So each output row is s short FIR sums over contiguous rows (one for stride 1), whatever the kernel, dilation and channels.
// With stride 1, eight rows at once go into register tiles, where each pixel loaded serves all rows of the kernel.
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

  struct Scratch {  // of one thread; keeps its capacity
    std::vector<Tap<T>> taps;
    std::vector<T> row;
    std::vector<Source<T>> sources;
  };

  // Computes rows [first, last), counted over all channels, and returns their peak. `poll(work)` is called after each piece of work
  // (multiply-adds) and returns false to give up.
  template <class Poll>
  T rows(Plane<T>& out, Index first, Index last, Scratch& scratch, const Poll& poll) const {
    const Index height = out.rect().height;
    T peak = 0;
    for (Index r = first; r < last;) {
      const Index c = r / height, v = r % height, end = std::min(height, v + last - r);
      Index y = v;
      while (y < end && y < v + rows_at_once) {
        const Index tiled = tiled_rows(y, end - y);
        if (!(tiled > 0 ? tiles(out, c, y, tiled, scratch, poll) : row(out, c, y, scratch, poll))) return peak;
        y += std::max<Index>(tiled, 1);
      }
      out.clear_margins(c, v, y);
      peak = std::max(peak, largest(out, c, v, y));
      r += y - v;
    }
    return peak;
  }

 private:
  // Of rows [v, end) with cleared margins: those of single numbers are looked through in one go, for they follow one another, with zeros
  // between them. A short row by itself takes twice the time.
  T largest(const Plane<T>& out, Index c, Index v, Index end) const {
    const Index width = out.rect().width;
    if constexpr (parts == 1) return kernels_.max_abs(out.row(c, v), (end - v - 1) * out.low() + width);
    T peak = 0;
    for (Index y = v; y < end; ++y) peak = std::max(peak, kernels_.max_abs(out.row(c, y), width));
    return peak;
  }

  // Rows from v on, at most `most`, that go into tiles: all that they meet lies inside the image.
  Index tiled_rows(Index v, Index most) const {
    const Index d = run_.dilation[0], rows = d * rows_at_once;
    const bool applies = parts == 1 && run_.stride[0] == 1 && run_.stride[1] == 1;
    return applies && v >= d * (run_.kernel[0] - 1) && most >= rows && v + rows <= in_.rect().height ? rows : 0;
  }

  // Rows [v, v + count): eight at a time, those that a dilated kernel meets together.
  template <class Poll>
  bool tiles(Plane<T>& out, Index c, Index v, Index count, Scratch& scratch, const Poll& poll) const {
    const Index d = run_.dilation[0], kh = run_.kernel[0], kw = run_.kernel[1], width = out.rect().width;
    std::vector<Source<T>>& sources = scratch.sources;
    for (Index first = v; first < v + d; ++first) {
      for (Index a = 0; a < kh; a += most_kernel_rows) {
        const Index rows = std::min(most_kernel_rows, kh - a);
        list_sources(c, first, a, rows, sources);
        const Index work = count / d * rows * kw * static_cast<Index>(sources.size());  // per column
        const Index piece = most_work / (work + 1) / 64 * 64 + 64;
        for (Index x = 0; x < width; x += piece) {
          const Index columns = std::min(piece, width - x);
          kernels_.rows[rows]({sources.data(), static_cast<Index>(sources.size()), d * in_.low(), d * in_.low(), kw, run_.dilation[1],
                               out.row(c, first) + x, d * out.low(), columns, a > 0, nullptr});
          if (!poll(work * columns)) return false;
          for (Source<T>& source : sources) {
            source.in += columns;
            source.above += columns;
          }
        }
      }
    }
    return true;
  }

  // What kernel rows [a, a + rows) read for the tile that begins at output row v.
  void list_sources(Index c, Index v, Index a, Index rows, std::vector<Source<T>>& list) const {
    list.clear();
    const Index d = run_.dilation[0];
    each_source(c, [&](Index source, const T* w) {
      const T* in = in_.row(source, v - d * a);
      list.push_back({in, in - d * (rows - 1) * in_.low(), w + a * run_.kernel[1]});
    });
  }

  // visit(channel, its taps) for the channels that output channel c adds up.
  template <class Visit>
  void each_source(Index c, const Visit& visit) const {
    if (shared_) return visit(c, taps_);
    const Index per_group = run_.channels_out / run_.groups, group = c / run_.channels_in, member = c % run_.channels_in;
    for (Index o = group * per_group; o < (group + 1) * per_group; ++o) {
      visit(o, taps_ + (o * run_.channels_in + member) * run_.kernel[0] * run_.kernel[1]);
    }
  }

  // Computes output row v of channel c.
  template <class Poll>
  bool row(Plane<T>& out, Index c, Index v, Scratch& scratch, const Poll& poll) const {
    const Index width = out.rect().width;
    const Index s = run_.stride[1];
    T* target = out.row(c, v);
    for (Index f = 0; f < s && f < width; ++f) {
      const Index n = (width - f + s - 1) / s;
      gather(c, v, f, scratch.taps);
      if (s == 1) {
        if (!fir(target, out.low(), n, scratch.taps, poll)) return false;
      } else {
        const Index pitch = n + overrun;
        scratch.row.resize(static_cast<std::size_t>(parts * pitch));
        if (!fir(scratch.row.data(), pitch, n, scratch.taps, poll)) return false;
        for (Index part = 0; part < parts; ++part) {
          for (Index q = 0; q < n; ++q) target[part * out.low() + f + s * q] = scratch.row[static_cast<std::size_t>(part * pitch + q)];
        }
      }
    }
    return true;
  }

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

  // Taps in the order of the tiles, whose sums have the same bits: seven kernel rows, then channels, columns upwards, rows
  // downwards. Zero taps are left out: a layer that only strides costs one.
  void gather(Index c, Index v, Index f, std::vector<Tap<T>>& list) const {
    list.clear();
    const Index kh = run_.kernel[0], kw = run_.kernel[1], above = run_.stride[0], along = run_.stride[1];
    const auto divides = [](Index s, Index x) { return s == 1 || x % s == 0; };  // divisions are what a short row would wait for
    const auto divided = [](Index x, Index s) { return s == 1 ? x : x / s; };
    for (Index first = 0; first < kh; first += most_kernel_rows) {
      each_source(c, [&](Index source, const T* w) {
        for (Index b = 0; b < kw; ++b) {
          const Index left = f - run_.dilation[1] * b;
          if (!divides(along, left)) continue;
          for (Index a = std::min(first + most_kernel_rows, kh) - 1; a >= first; --a) {
            const Index up = v - run_.dilation[0] * a;
            if (up < 0 || !divides(above, up) || divided(up, above) >= in_.rect().height || w[a * kw + b] == T(0)) continue;
            list.push_back({in_.row(source, divided(up, above)) + divided(left, along), w[a * kw + b]});
          }
        }
      });
    }
  }

  const Run<T>& run_;
  const T* taps_;
  const Plane<T>& in_;
  const Kernels<T>& kernels_;
  bool shared_;
};

}  // namespace erffast
