// Several steps with stride 1 at once, while the rows are in the cache.
//
// Layer by layer a large image travels through memory once a layer, which takes longer than the arithmetic. In causal layout,
//   out[y][x] = sum of w[a][b] * in[y - a][x - step * b],
// output row y needs input rows up to y only. So eight rows are taken from the image and led through all the layers, in place,
// before the next eight; of its input each layer keeps what the next block still needs, its last rows - 1 rows. A growing image
// shifts nothing: its first pixel stays in the corner, and the rows below its end are zeros.
//
// A thread computes a band of rows. It starts as many rows earlier as the layers are high together, with zeros above: these rows
// come out wrong, but none of them reaches the band. Which rows a pixel is computed with does not enter its sum, so the bits do
// not depend on the bands.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "erffast/kernels.hpp"
#include "erffast/memory.hpp"
#include "erffast/plane.hpp"

namespace erffast {

template <class T>
struct Stage {
  const T* taps;  // [rows, columns]
  Index rows, columns;
  Index step;  // pixels from one kernel column to the next
  Index before() const { return rows - 1; }
};

// Room for the rows of one thread; keeps its capacity.
template <class T>
class RowBuffer {
 public:
  T* zeros(Index n) {
    if (n > capacity_) {
      data_.reset();
      capacity_ = 0;
      data_ = new_pixels<T>(n);
      capacity_ = n;
    }
    std::fill_n(data_.get(), n, T(0));
    return data_.get();
  }

 private:
  Pixels<T> data_;
  Index capacity_ = 0;
};

template <class T>
class Pipeline {
 public:
  Pipeline(const Plane<T>& in, std::vector<Stage<T>> stages, const Kernels<T>& kernels) : in_(in), stages_(std::move(stages)), kernels_(kernels) {
    Index height = in.rect().height, width = in.rect().width;
    for (const Stage<T>& stage : stages_) {
      left_ = std::max(left_, stage.step * (stage.columns - 1));
      width += stage.step * (stage.columns - 1);
      height += stage.before();
      widths_.push_back(width);
      heights_.push_back(height);
      work_ += stage.rows * stage.columns * width * height;
    }
    left_ = (left_ + line - 1) / line * line;
    const Index needed = (left_ + width + overrun) / line + 1;
    pitch_ = needed * line <= block_pitch<T> ? block_pitch<T> : (needed | 1) * line;  // odd: see there
  }

  Index height() const { return heights_.back(); }
  Index width() const { return widths_.back(); }
  Index early() const { return height() - in_.rect().height; }  // rows that a band starts before its first
  Index work() const { return work_; }                          // multiply-adds

  // Computes rows [first, last) of the last layer into `out` and returns their peak. `poll(work)` is called after each piece of
  // work and returns false to give up.
  template <class Poll>
  T rows(Plane<T>& out, Index first, Index last, RowBuffer<T>& buffer, const Poll& poll) const {
    T* block = buffer.zeros((rows_at_once + early()) * pitch_) + left_;
    T peak = 0;
    for (Index y = std::max<Index>(0, first - early()); y < last; y += rows_at_once) {
      take(y, block);
      T* kept = block + rows_at_once * pitch_;
      Index below = early();  // rows that the layers from here on look back
      for (std::size_t i = 0; i < stages_.size(); ++i) {
        const Stage<T>& stage = stages_[i];
        below -= stage.before();
        fetch(out, y, i);
        if (y + rows_at_once <= first - below) {
          keep(stage, block, kept);
        } else if (y < heights_[i]) {
          advance(i, block, kept);
          if (!poll(rows_at_once * widths_[i] * stage.rows * stage.columns)) return peak;
        }
        kept += stage.before() * pitch_;
      }
      peak = std::max(peak, give(out, y, std::max(first, y), std::min(last, y + rows_at_once), block));
    }
    return peak;
  }

 private:
  static constexpr Index line = 64 / static_cast<Index>(sizeof(T));

  // Rows [y, y + 8) of the image; zeros beyond it.
  void take(Index y, T* block) const {
    const Rect& rect = in_.rect();
    const auto bytes = [](Index n) { return static_cast<std::size_t>(n) * sizeof(T); };
    for (Index j = 0; j < rows_at_once; ++j, block += pitch_) {
      const Index filled = y + j < rect.height ? rect.width : 0;
      if (filled > 0) std::memcpy(block, in_.row(0, y + j), bytes(filled));
      std::memset(static_cast<void*>(block + filled), 0, bytes(pitch_ - left_ - filled));
    }
  }

  // Asks for what the end of this block writes and the beginning of the next one reads, a part with each layer: from memory, the
  // copies alone took a seventh of the time.
  void fetch(Plane<T>& out, Index y, std::size_t stage) const {
    const Index i = static_cast<Index>(stage), n = static_cast<Index>(stages_.size());
    for (Index j = rows_at_once * i / n; j < rows_at_once * (i + 1) / n; ++j) {
      const Index next = y + rows_at_once + j;
      for (Index x = 0; next < in_.rect().height && x < in_.rect().width; x += line) __builtin_prefetch(in_.row(0, next) + x, 0, 2);
      for (Index x = 0; y + j < out.rect().height && x < width(); x += line) __builtin_prefetch(out.row(0, y + j) + x, 1, 2);
    }
  }

  void advance(std::size_t i, T* block, T* kept) const {
    const Stage<T>& stage = stages_[i];
    const Source<T> source{block, kept, stage.taps};
    kernels_.rows[stage.rows]({&source, 1, pitch_, pitch_, stage.columns, stage.step, block, pitch_, widths_[i], false, stage.before() > 0 ? kept : nullptr});
  }

  // What `advance` does for the next block, where nobody needs the rows of this one.
  void keep(const Stage<T>& stage, const T* block, T* kept) const {
    for (Index j = 0; j < stage.before(); ++j) {
      std::copy_n(block + (rows_at_once - stage.before() + j) * pitch_, width(), kept + j * pitch_);
    }
  }

  // Writes rows [first, last) of the block that starts at row y.
  T give(Plane<T>& out, Index y, Index first, Index last, const T* block) const {
    T peak = 0;
    for (Index v = first; v < last; ++v) {
      const T* row = block + (v - y) * pitch_;
      std::memcpy(out.row(0, v), row, static_cast<std::size_t>(width()) * sizeof(T));
      out.clear_margins(0, v);
      peak = std::max(peak, kernels_.max_abs(row, width()));
    }
    return peak;
  }

  const Plane<T>& in_;
  std::vector<Stage<T>> stages_;
  const Kernels<T>& kernels_;
  std::vector<Index> widths_, heights_;  // after each stage
  Index left_ = 0, pitch_ = 0, work_ = 0;
};

}  // namespace erffast
