#include "group_plan.hpp"

#include <algorithm>

namespace erffast::cuda {
namespace {

constexpr Index most_sums = 1 << 21;  // numbers that borders of a group leave for the host to add up

}  // namespace

template <class T, int parts>
GroupPlan<T, parts>::GroupPlan(const Call<T>& call, Index first_draw, Index draws, const std::vector<Layer<T>>& group, const Frame& from)
    : call_(call), first_draw_(first_draw), draws_(draws), group_(group) {
  Frame at = from;
  for (std::size_t i = 0; i < group_.size() && !empty(at.rect) && sums_ <= most_sums; i += passes_.back().layers) {
    passes_.push_back(fuses(i, at) ? fused_pass(i, at) : is_whole(i, at) ? whole_pass(i, at) : step_pass(i, at));
    at = passes_.back().kept;
  }
}

template <class T, int parts>
bool GroupPlan<T, parts>::fuses(std::size_t layer, const Frame& at) const {
  const Run<T>& run = run_of(layer);
  if (parts != 1 || run.bounded || run.scale != nullptr || run.stride[0] != 1 || run.stride[1] != 1) return false;
  if (run.channels_out > 1 || run.channels_in > 1 || at.channels > 1) return false;
  if (run.dilation[0] * run.kernel[0] > most_reach || run.dilation[1] * run.kernel[1] > most_reach) return false;
  return fits_fused<T>({0, 0, static_cast<int>(run.kernel[0]), static_cast<int>(run.kernel[1]), static_cast<int>(run.dilation[0]), static_cast<int>(run.dilation[1])},
                       call_.limits);
}

template <class T, int parts>
Pass GroupPlan<T, parts>::fused_pass(std::size_t first, const Frame& at) {
  std::vector<FusedLayer> layers;
  for (std::size_t i = first; i < group_.size() && layers.size() < most_fused && fuses(i, at); ++i) {
    layers.push_back(taps_on_device(call_, group_[i], first_draw_));
  }
  Pass pass{};
  pass.first = first;
  pass.fused = plan_fused<T>(layers, at.rect.height, at.rect.width, draws_, call_.limits);
  pass.layers = static_cast<std::size_t>(pass.fused.layers.n);
  Rect rect = at.rect;
  for (std::size_t i = 0; i < pass.layers; ++i) rect = full_rect(run_of(first + i), rect);
  borders_.resize(borders_.size() + pass.layers);
  pass.to = pass.kept = Frame::of<T>(rect, 1, parts);
  return pass;
}

// Of a layer that makes so many channels.
template <class T, int parts>
Border GroupPlan<T, parts>::border_of(std::size_t layer, const Frame& at, Index channels) {
  const Run<T>& run = run_of(layer);
  const Index step = group_[layer].step;
  const Rect r = full_rect(run, at.rect);
  Border border{r, r, channels, -1};
  if (!run.bounded) return border;
  const Index height = run.extent[0] + step * run.growth[0], width = run.extent[1] + step * run.growth[1];
  const Index y0 = std::max<Index>(0, -r.y0), y1 = std::min(r.height, height - r.y0);
  const Index x0 = std::max<Index>(0, -r.x0), x1 = std::min(r.width, width - r.x0);
  if (y0 == 0 && x0 == 0 && y1 == r.height && x1 == r.width) return border;
  border.kept = {r.y0 + y0, r.x0 + x0, y1 - y0, x1 - x0};
  border.sums = sums_;
  sums_ += 3 * draws_ * channels * r.height;
  return border;
}

template <class T, int parts>
Pass GroupPlan<T, parts>::step_pass(std::size_t layer, const Frame& at) {
  const Run<T>& run = run_of(layer);
  const Index channels = run.channels_out == 0 ? at.channels : run.groups * run.channels_in;
  const Border border = border_of(layer, at, channels);
  Pass pass{};
  pass.first = layer;
  pass.layers = 1;
  pass.to = Frame::of<T>(border.whole, channels, parts);
  pass.kept = pass.to.cropped(border.kept.y0 - border.whole.y0, border.kept.y0 - border.whole.y0 + border.kept.height,
                              border.kept.x0 - border.whole.x0, border.kept.x0 - border.whole.x0 + border.kept.width);
  borders_.push_back(border);
  return pass;
}

// Whether a layer goes with whole images in shared memory: of a map that is small enough.
template <class T, int parts>
bool GroupPlan<T, parts>::is_whole(std::size_t layer, const Frame& at) const {
  const Run<T>& run = run_of(layer);
  if (parts != 1 || !run.bounded || run.scale != nullptr || run.stride[0] != 1 || run.stride[1] != 1 || run.channels_out > 1 || run.channels_in > 1 || at.channels > 1) return false;
  const Rect r = full_rect(run, at.rect);
  const double taps = static_cast<double>(run.kernel[0]) * static_cast<double>(run.kernel[1]);
  const double pixels = static_cast<double>(r.height) * static_cast<double>(r.width);
  return pixels * taps <= 150'000 && (2 * pixels + taps) * sizeof(T) + 64 <= static_cast<double>(call_.limits.shared_memory);
}

template <class T, int parts>
Pass GroupPlan<T, parts>::whole_pass(std::size_t first, const Frame& from) {
  Pass pass{};
  pass.first = first;
  Frame at = from;
  int room = static_cast<int>(at.rect.height * at.rect.width), room_of_taps = 0;
  for (std::size_t i = first; i < group_.size() && pass.whole.n < most_whole && !empty(at.rect) && is_whole(i, at); ++i) {
    const FusedLayer taps = taps_on_device(call_, group_[i], first_draw_);
    const Index sums = sums_;
    const Border border = border_of(i, at, 1);
    const int height = static_cast<int>(border.whole.height), width = static_cast<int>(border.whole.width);
    const int more = std::max(room, height * width), more_taps = std::max(room_of_taps, taps.rows * taps.columns);
    if (static_cast<Index>(2 * more + more_taps) * static_cast<Index>(sizeof(T)) + 64 > call_.limits.shared_memory) {
      sums_ = sums;
      break;
    }
    room = more;
    room_of_taps = more_taps;
    pass.work += static_cast<double>(height) * width * taps.rows * taps.columns;
    pass.whole.layers[pass.whole.n++] = {taps.taps, taps.taps_per_draw, border.sums, taps.rows, taps.columns, taps.down, taps.across, height, width,
                                         static_cast<int>(border.kept.y0 - border.whole.y0), static_cast<int>(border.kept.x0 - border.whole.x0),
                                         static_cast<int>(border.kept.height), static_cast<int>(border.kept.width)};
    borders_.push_back(border);
    at = Frame::of<T>(border.kept, 1, parts);
  }
  pass.layers = static_cast<std::size_t>(pass.whole.n);
  pass.room = room;
  pass.room_of_taps = room_of_taps;
  pass.to = pass.kept = at;
  return pass;
}

template class GroupPlan<float, 1>;
template class GroupPlan<double, 1>;
template class GroupPlan<double, 2>;

}  // namespace erffast::cuda
