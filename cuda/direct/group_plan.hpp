// Into which launches a group of layers goes.
#pragma once

#include <memory>
#include <vector>

#include "chain_taps.hpp"
#include "direct/groups.hpp"
#include "frame.hpp"
#include "memory.hpp"
#include "fused_plan.hpp"
#include "stream.hpp"

namespace erffast::cuda {

// What the chains of a call share.
template <class T>
struct Call {
  const std::vector<Run<T>>& runs;
  const Options& options;
  const ChainTaps<T>& taps;
  const Limits limits;
  std::shared_ptr<Budget> budget;
  Stream& stream;
  Monitor& monitor;
};

template <class T>
struct Layer {
  std::size_t run;
  Index step;
  Position after;
  std::vector<ScaledTaps<T>> taps;  // [draws], or one for all
  std::vector<int> exponents;       // [draws]
};

struct Border {  // what a layer's map takes
  Rect whole, kept;
  Index channels = 1;
  Index sums = -1;  // where the sums of rows begin; -1: it takes nothing
  bool takes() const { return sums >= 0; }
};

struct Pass {  // one launch, or several for one layer
  std::size_t first = 0, layers = 1;
  FusedPlan fused;    // no layers: another kind
  WholeLayers whole;  // no layers: another kind
  int room = 0, room_of_taps = 0;
  double work = 0;    // multiply-adds of a draw
  Frame to;           // all that the layers give
  Frame kept;         // what the map keeps
};

template <class T, int parts>
class GroupPlan {
 public:
  // For the layers of `group` on images at `from`; fewer, where a map keeps nothing or the host would have too much to add up.
  GroupPlan(const Call<T>& call, Index first_draw, Index draws, const std::vector<Layer<T>>& group, const Frame& from);

  const std::vector<Pass>& passes() const { return passes_; }
  const Border& border(std::size_t layer) const { return borders_[layer]; }
  std::size_t layers() const { return borders_.size(); }
  Index sums() const { return sums_; }  // numbers that borders leave

 private:
  const Run<T>& run_of(std::size_t layer) const { return call_.runs[group_[layer].run]; }
  bool fuses(std::size_t layer, const Frame& at) const;
  bool is_whole(std::size_t layer, const Frame& at) const;
  Pass fused_pass(std::size_t first, const Frame& at);
  Pass whole_pass(std::size_t first, const Frame& from);
  Pass step_pass(std::size_t layer, const Frame& at);
  Border border_of(std::size_t layer, const Frame& at, Index channels);

  const Call<T>& call_;
  Index first_draw_, draws_;
  const std::vector<Layer<T>>& group_;
  std::vector<Pass> passes_;
  std::vector<Border> borders_;
  Index sums_ = 0;
};

// Of all that a layer gives.
template <class T>
Rect full_rect(const Run<T>& run, const Rect& r) {
  return {r.y0 * run.stride[0] - run.before[0], r.x0 * run.stride[1] - run.before[1],
          run.stride[0] * (r.height - 1) + run.dilation[0] * (run.kernel[0] - 1) + 1,
          run.stride[1] * (r.width - 1) + run.dilation[1] * (run.kernel[1] - 1) + 1};
}

inline bool empty(const Rect& rect) { return rect.height <= 0 || rect.width <= 0; }

// Where a layer's taps stand on the device, and their shape.
template <class T>
FusedLayer taps_on_device(const Call<T>& call, const Layer<T>& layer, Index first_draw) {
  const Run<T>& run = call.runs[layer.run];
  const auto place = call.taps.place(layer.run, layer.step, first_draw);
  return {place.first, place.per_draw,
          static_cast<int>(run.kernel[0]), static_cast<int>(run.kernel[1]), static_cast<int>(run.dilation[0]), static_cast<int>(run.dilation[1])};
}

}  // namespace erffast::cuda
