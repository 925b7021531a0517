// The taps of a chain on the device, copied once, with what the host needs to know of each kernel.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "direct/scaled_taps.hpp"
#include "erffast/step.hpp"
#include "memory.hpp"

namespace erffast::cuda {

template <class T>
class ChainTaps {
 public:
  ChainTaps(const std::vector<Run<T>>& runs, Budget* budget, cudaStream_t stream) {
    Index taps = 0, scales = 0;
    for (const Run<T>& run : runs) {
      Entry entry{taps, size_of(run), run.n_kernels, run.tap_draws, scales, 0};
      taps += run.n_kernels * run.tap_draws * entry.size;
      if (run.scale != nullptr) {
        const Index n = run.scale_height * run.scale_width;
        for (Index i = 0; i < n; ++i) entry.largest_scale = std::max(entry.largest_scale, std::abs(run.scale[i]));
        scales += n * (run.scale_low != nullptr ? 2 : 1);
      }
      entries_.push_back(entry);
    }
    taps_ = DeviceArray<T>(taps, budget);
    scales_ = DeviceArray<double>(scales, budget);
    for (std::size_t i = 0; i < runs.size(); ++i) copy(runs[i], entries_[i], stream);
  }

  const T* data() const { return taps_.data(); }
  // Where the taps of a step begin, counted from data(), of a draw; and how far the next draw's are from them.
  struct Place {
    Index first, per_draw;
  };
  Place place(std::size_t run, Index step, Index draw) const {
    const Entry& e = entries_[run];
    const Index per_draw = e.draws == 1 ? 0 : e.size;
    return {e.taps + (e.kernels == 1 ? 0 : step) * e.draws * e.size + draw * per_draw, per_draw};
  }
  const double* scale(std::size_t run) const { return scales_.data() + entries_[run].scale; }
  double largest_scale(std::size_t run) const { return entries_[run].largest_scale; }

 private:
  struct Entry {
    Index taps, size, kernels, draws;
    Index scale;
    double largest_scale;
  };

  static Index size_of(const Run<T>& run) {
    return std::max<Index>(1, run.channels_out) * run.channels_in * run.kernel[0] * run.kernel[1];
  }

  void copy(const Run<T>& run, const Entry& entry, cudaStream_t stream) {
    const auto send = [&](auto* to, const auto* from, Index n) {
      check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(n) * sizeof(*to), cudaMemcpyHostToDevice, stream), "copying to the device");
    };
    send(taps_.data() + entry.taps, run.taps, run.n_kernels * run.tap_draws * entry.size);
    if (run.scale == nullptr) return;
    const Index n = run.scale_height * run.scale_width;
    send(scales_.data() + entry.scale, run.scale, n);
    if (run.scale_low != nullptr) send(scales_.data() + entry.scale + n, run.scale_low, n);
  }

  std::vector<Entry> entries_;
  DeviceArray<T> taps_;
  DeviceArray<double> scales_;
};

}  // namespace erffast::cuda
