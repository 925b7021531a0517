#include "chain.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "devices.hpp"
#include "direct/trim.hpp"
#include "erffast/separable.hpp"
#include "room.hpp"

namespace erffast::cuda {
namespace {

// Layers whose scale is chosen together where nothing is trimmed.
constexpr std::size_t most_untrimmed = 128;
// Half of the range (450 bits, in float32 45) may be lost by cancellation before a group is made again. A random signed layer of n taps
// falls short of its gain by log2(n) / 2 bits or less; as many layers go together as make 4/5 of that.
template <class T>
constexpr double most_lost = 0.4 * peak_exponent<T>;

template <class T>
Power<T> power_of_two(int exponent) {
  return {static_cast<T>(std::ldexp(1.0, exponent / 2)), static_cast<T>(std::ldexp(1.0, exponent - exponent / 2))};
}

constexpr Index least_pixels = 1 << 20;

}  // namespace

template <class T, int parts>
Chain<T, parts>::Chain(const Call<T>& call, Index first_draw, Index draws)
    : call_(call), first_draw_(first_draw), draws_(draws), pace_(call.stream, &call.monitor), measures_(draws, call.budget.get()) {
  for (const Run<T>& run : call.runs) {
    layers_ += run.count;
    keeps_mass_ = keeps_mass_ && !run.bounded;
    keeps_range_ = keeps_range_ && run.channels_out <= 1 && run.channels_in == 1 && run.scale == nullptr;
  }
  keeps_range_ = keeps_range_ && keeps_mass_ && call.options.non_negative;
}

// Nothing may be freed while the device still works with it.
template <class T, int parts>
Chain<T, parts>::~Chain() {
  cudaStreamSynchronize(call_.stream);
}

template <class T, int parts>
std::vector<ImageOnDevice<T>> Chain<T, parts>::run() {
  start();
  Position at;
  try {
    while (at.run < call_.runs.size() && alive()) {
      if (composes(call_.runs[at.run])) {
        compose(at.run);
        at = {at.run + 1, 0};
      } else {
        at = group(at);
      }
    }
  } catch (const MemoryLimit&) {  // fewer draws at a time may fit, and will be counted again
    call_.monitor.add_done(-done_);
    throw;
  }
  pace_.wait();
  const auto held = std::make_shared<HeldPixels<T>>(call_.budget, std::move(buffers_[current_]), current_device());
  std::vector<ImageOnDevice<T>> images;
  for (Index d = 0; d < draws_; ++d) {
    const Draw& draw = state_[static_cast<std::size_t>(d)];
    Frame frame = frame_;
    frame.first += d * frame_.per_draw;
    const Rect none = {frame.rect.y0, frame.rect.x0, 0, 0}, &whole = frame_.rect, &part = draw.rect;
    if (draw.alive) {
      frame = frame.cropped(part.y0 - whole.y0, part.y0 - whole.y0 + part.height, part.x0 - whole.x0, part.x0 - whole.x0 + part.width);
    } else {
      frame.rect = none;
    }
    images.push_back({draw.accounts.facts(draw.alive ? draw.peak : 0.0), held, frame});
  }
  return images;
}

template <class T, int parts>
bool Chain<T, parts>::alive() const {
  return std::any_of(state_.begin(), state_.end(), [](const Draw& draw) { return draw.alive; });
}

template <class T, int parts>
void Chain<T, parts>::start() {
  const Options& options = call_.options;
  const Rect unit = {options.unit[0], options.unit[1], 1, 1};
  const double peak = std::ldexp(1.0, peak_exponent<T>);
  state_.assign(static_cast<std::size_t>(draws_), Draw{{}, peak, true, unit});
  frame_ = Frame::of<T>(unit, options.channels, parts);
  std::vector<T> first(static_cast<std::size_t>(frame_.per_draw * draws_), T(0));
  for (Index d = 0; d < draws_; ++d) {
    for (Index c = 0; c < options.channels; ++c) first[static_cast<std::size_t>(frame_.row(d, c, 0))] = static_cast<T>(peak);
  }
  reserve();
  make_room(buffers_[0], static_cast<Index>(first.size()), *call_.budget, pace_);
  buffers_[0].from_host(first.data(), static_cast<Index>(first.size()), call_.stream);
  pace_.wait();
  current_ = 0;
}

// Room for the largest image, where its size is known and fits.
template <class T, int parts>
void Chain<T, parts>::reserve() {
  if (trims() || composes(call_.runs[0])) return;
  const int buffers = keeps_range_ ? 2 : 3;
  const double pixels = largest_frame(call_.runs, call_.options.channels, parts) * static_cast<double>(draws_);
  if (buffers * pixels * sizeof(T) > 0.9 * static_cast<double>(call_.budget->left())) return;
  for (int b = 0; b < buffers; ++b) buffers_[b] = DeviceArray<T>(static_cast<Index>(pixels), call_.budget.get());
}

// ------------------------------------------------------------------------------------------------ long runs in one dimension

// The host composes them, in some square roots of their layers: nothing there for a GPU.
template <class T, int parts>
bool Chain<T, parts>::composes(const Run<T>& run) const {
  return parts == 1 && call_.options.non_negative && frame_.rect.height == 1 && frame_.channels == 1 && can_compose(run);
}

template <class T, int parts>
void Chain<T, parts>::compose(std::size_t index) {
  const Run<T>& run = call_.runs[index];
  Draw& draw = state_[0];
  const Rect from = frame_.rect;
  std::vector<T> row(static_cast<std::size_t>(from.width));
  check(cudaMemcpyAsync(row.data(), pixels() + frame_.first, row.size() * sizeof(T), cudaMemcpyDeviceToHost, call_.stream), "copying from the device");
  pace_.wait();
  Image<T> result;
  {
    const FlushDenormals flush;
    Team team(call_.options.threads);
    const double share = call_.options.trim * static_cast<double>(run.count) / static_cast<double>(layers_);
    const Composing composing{share, keeps_mass_, call_.options.memory_limit / 2, &team};
    result = composed(run, first_draw_, row.data(), from.width, composing, call_.monitor);
    draw.peak = static_cast<double>(kernels_of<T>(kernel_table()).max_abs(result.plane.row(0, 0), result.plane.rect().width));
    draw.accounts.mass = kernels_of<T>(kernel_table()).sum(result.plane.row(0, 0), result.plane.rect().width);
  }
  const Rect rect = result.plane.rect();
  draw.accounts.exponent += result.exponent;
  draw.accounts.rounding += result.rounding;
  draw.accounts.trimmed += result.trimmed;
  draw.alive = draw.peak > 0;
  draw.rect = {from.y0 - run.before[0] * run.count, from.x0 - run.before[1] * run.count + rect.x0, 1, rect.width};
  frame_ = Frame::of<T>(draw.rect, 1, parts);
  make_room(buffers_[current_], frame_.per_draw, *call_.budget, pace_);
  buffers_[current_].from_host(result.plane.row(0, 0), rect.width, call_.stream);
  pace_.wait();
  done_ += run.count;
}

// ------------------------------------------------------------------------------------------------ a group of layers

// The layers from `from` on that are launched together; returns the place after them.
template <class T, int parts>
Position Chain<T, parts>::group(Position from) {
  source_ = current_;
  const Frame whole = frame_;
  for (std::size_t most = trims() ? most_layers : most_untrimmed;; most = group_.size() / 2) {
    current_ = source_;
    frame_ = whole;
    gather(from, most);
    plan_ = std::make_unique<GroupPlan<T, parts>>(call_, first_draw_, draws_, group_, frame_);
    group_.erase(group_.begin() + static_cast<std::ptrdiff_t>(plan_->layers()), group_.end());
    send_scales();
    execute();
    collect();
    if (!range_lost()) break;
  }
  accept();
  if (alive()) trim();
  const Index done = static_cast<Index>(group_.size()) * draws_;
  call_.monitor.add_done(done);
  done_ += done;
  return group_.back().after;
}

// Fills `group_`. Where something is trimmed, it is the CPU's group.
template <class T, int parts>
void Chain<T, parts>::gather(Position at, std::size_t most) {
  const std::vector<Run<T>>& runs = call_.runs;
  group_.clear();
  std::vector<PeakBound<T>> bounds;
  for (const Draw& draw : state_) bounds.emplace_back(draw.peak);
  if (trims()) {
    if (!(parts == 1 && fusible(runs[at.run], frame_.rect, frame_.channels))) return push(at.run, at.step, bounds);
    gather_group(runs, at, frame_.rect, most, [&](const Run<T>& run, Index step) { push(static_cast<std::size_t>(&run - runs.data()), step, bounds); });
    return;
  }
  double lost = 0;
  while (at.run < runs.size() && group_.size() < most && (group_.empty() || (lost < most_lost<T> && !composes(runs[at.run])))) {
    push(at.run, at.step, bounds);
    at = group_.back().after;
    if (!keeps_range_) lost += 0.5 * std::log2(static_cast<double>(std::max<Index>(2, group_.back().taps[0].terms())));
  }
}

template <class T, int parts>
void Chain<T, parts>::push(std::size_t index, Index step, std::vector<PeakBound<T>>& bounds) {
  const Run<T>& run = call_.runs[index];
  Layer<T> layer{index, step, step + 1 == run.count ? Position{index + 1, 0} : Position{index, step + 1}, {}, {}};
  if (index == known_run_ && run.n_kernels == 1) {
    layer.taps = known_;
  } else {
    for (Index d = 0; d < (run.tap_draws == 1 ? 1 : draws_); ++d) layer.taps.emplace_back(run, step, first_draw_ + d);
    known_ = layer.taps;
    known_run_ = index;
  }
  for (std::size_t d = 0; d < bounds.size(); ++d) {
    if (run.scale != nullptr) bounds[d].rescale(call_.taps.largest_scale(index));
    layer.exponents.push_back(bounds[d].next(layer.taps[layer.taps.size() == 1 ? 0 : d].gain()));
  }
  group_.push_back(std::move(layer));
}

template <class T, int parts>
void Chain<T, parts>::send_scales() {
  const Index n = static_cast<Index>(group_.size()) * draws_;
  Power<T>* to = host_scales_.room(n);
  for (const Layer<T>& layer : group_) {
    for (const int exponent : layer.exponents) *to++ = power_of_two<T>(exponent);
  }
  make_room(scales_, n, *call_.budget, pace_);
  scales_.from_host(host_scales_.data(), n, call_.stream);
}

// A buffer that may be written: neither the one that is read, nor the input of a group that may be made again.
template <class T, int parts>
T* Chain<T, parts>::target(const Frame& frame) {
  constexpr Index most_side = std::numeric_limits<int>::max();  // kernels count rows and columns in 32 bits
  if (frame.rect.height > most_side || frame.rect.width > most_side) throw std::length_error("an image on a GPU may have 2147483647 pixels along an axis");
  int next = 0;
  while (next == current_ || (next == source_ && !keeps_range_)) ++next;
  make_room(buffers_[next], frame.per_draw * draws_, *call_.budget, pace_, least_pixels);
  current_ = next;
  return buffers_[next].data();
}

// Launches the group, and after it what the host wants to know.
template <class T, int parts>
void Chain<T, parts>::execute() {
  const std::vector<Pass>& passes = plan_->passes();
  const Index last_rows = passes.back().kept.rect.height;
  const Index trimmed_rows = trims() && last_rows > 1 ? 3 * last_rows : 0;
  sums_ = plan_->sums() + trimmed_rows;
  make_room(device_sums_, sums_, *call_.budget, pace_);
  measures_.zero(call_.stream);
  for (const Pass& pass : passes) {
    const bool last = &pass == &passes.back();
    const T* in = pixels();
    const Frame from = frame_;
    const Power<T>* scales = scales_.data() + static_cast<Index>(pass.first) * draws_;
    if (pass.fused.layers.n > 0) {
      fused_layers<T>(pass.fused, call_.taps.data(), scales, in, from, target(pass.to), pass.to, draws_, last ? measures_.data() : nullptr, pace_);
    } else if (pass.whole.n > 0) {
      whole_layers<T>(pass.whole, pass.room, pass.room_of_taps, pass.work, call_.taps.data(), scales, in, from, target(pass.to), pass.to, draws_,
                      scale_of_sums(), device_sums_.data(), pace_);
    } else {
      step(pass);
    }
    frame_ = pass.kept;
    if (last && pass.fused.layers.n == 0 && !empty(frame_.rect)) measure<T, parts>(pixels(), frame_, draws_, measures_.data(), pace_);
  }
  if (trimmed_rows == 0) return;
  row_sums<T>(pixels(), frame_, 1, {0, 0, frame_.rect.height, frame_.rect.width}, 0.0, device_sums_.data() + plan_->sums(), pace_);
}

template <class T, int parts>
void Chain<T, parts>::step(const Pass& pass) {
  const Layer<T>& layer = group_[pass.first];
  const Run<T>& run = call_.runs[layer.run];
  if (run.scale != nullptr) {
    const Rect& r = frame_.rect;
    if (r.y0 < 0 || r.x0 < 0 || r.y0 + r.height > run.scale_height || r.x0 + r.width > run.scale_width) {
      throw std::invalid_argument("scale must cover the output map of its layer");
    }
    const double* scale = call_.taps.scale(layer.run);
    const double* low = run.scale_low == nullptr ? nullptr : scale + run.scale_height * run.scale_width;
    const Frame to = Frame::of<T>(r, frame_.channels, parts);
    const T* in = pixels();
    rescale<T, parts>(in, frame_, target(to), to, draws_, scale, low, run.scale_width, pace_);
    frame_ = to;
  }
  const FusedLayer taps = taps_on_device(call_, layer, first_draw_);
  const T* in = pixels();
  T* out = target(pass.to);
  backward_step<T, parts>(run, call_.taps.data() + taps.taps, taps.taps_per_draw, scales_.data() + static_cast<Index>(pass.first) * draws_, in,
                          frame_, out, pass.to, draws_, pace_);
  const Border& border = plan_->border(pass.first);
  if (!border.takes()) return;
  const Rect &whole = border.whole, &kept = border.kept;
  const Rect inside = {kept.y0 - whole.y0, kept.x0 - whole.x0, kept.height, kept.width};
  row_sums<T>(out, pass.to, draws_, inside, scale_of_sums(), device_sums_.data() + border.sums, pace_);
}

// 0: of the pixels. Else of squares, which would overflow at the working scale.
template <class T, int parts>
double Chain<T, parts>::scale_of_sums() const {
  return call_.options.non_negative ? 0.0 : std::ldexp(1.0, -peak_exponent<T>);
}

template <class T, int parts>
void Chain<T, parts>::collect() {
  measures_.to_host(host_measures_.room(draws_), draws_, call_.stream);
  if (sums_ > 0) device_sums_.to_host(host_sums_.room(sums_), sums_, call_.stream);
  pace_.wait();
  for (Index d = 0; d < draws_; ++d) {
    if (!std::isfinite(std::bit_cast<double>(host_measures_.data()[d].peak))) throw std::runtime_error("internal error: the working image overflowed");
  }
}

template <class T, int parts>
bool Chain<T, parts>::range_lost() const {
  if (keeps_range_) return false;
  for (std::size_t d = 0; d < state_.size(); ++d) {
    if (state_[d].alive && lost_range<T>(std::bit_cast<double>(host_measures_.at(static_cast<Index>(d)).peak), group_.size())) return true;
  }
  return false;
}

// ------------------------------------------------------------------------------------------------ accounts

template <class T, int parts>
void Chain<T, parts>::accept() {
  const Rect& whole = frame_.rect;
  for (Index d = 0; d < draws_; ++d) {
    Draw& draw = state_[static_cast<std::size_t>(d)];
    if (!draw.alive) continue;
    const Measure& m = host_measures_.at(d);
    draw.peak = std::bit_cast<double>(m.peak);
    draw.alive = account(d) && draw.peak > 0;
    if (!draw.alive) continue;
    const Index y0 = whole.height - static_cast<Index>(m.top), x0 = whole.width - static_cast<Index>(m.left);
    draw.rect = {whole.y0 + y0, whole.x0 + x0, static_cast<Index>(m.bottom) - y0, static_cast<Index>(m.right) - x0};
  }
}

// Whether the borders left anything of a draw.
template <class T, int parts>
bool Chain<T, parts>::account(Index d) {
  Draw& draw = state_[static_cast<std::size_t>(d)];
  const std::size_t which = static_cast<std::size_t>(d);
  for (std::size_t i = 0; i < group_.size(); ++i) {
    const Layer<T>& layer = group_[i];
    if (call_.runs[layer.run].scale != nullptr) draw.accounts.add_rescaled();
    draw.accounts.add_layer(layer.taps[layer.taps.size() == 1 ? 0 : which], layer.exponents[which]);
    if (plan_->border(i).takes() && !clip(draw, plan_->border(i), d)) return false;
  }
  return true;
}

template <class T, int parts>
bool Chain<T, parts>::clip(Draw& draw, const Border& border, Index index) const {
  const Index height = border.whole.height, rows = border.channels * height;
  const double* sums = &host_sums_.at(border.sums + 3 * index * rows);
  const Index y0 = border.kept.y0 - border.whole.y0, y1 = y0 + border.kept.height;
  double inside = 0, outside = 0;
  for (Index r = 0; r < rows; ++r, sums += 3) {
    const Index y = r % height;
    if (y < y0 || y >= y1) {
      outside += sums[0];
    } else {
      outside += sums[0] + sums[2];
      inside += sums[1];
    }
  }
  return inside == 0 && outside == 0 ? false : draw.accounts.clip(inside, outside);
}

// ------------------------------------------------------------------------------------------------ trimming

template <class T, int parts>
void Chain<T, parts>::trim() {
  if (!trims()) {  // sides that are zero in all draws
    Rect kept = {0, 0, 0, 0};
    for (const Draw& draw : state_) {
      if (!draw.alive) continue;
      const Rect& r = draw.rect;
      if (empty(kept)) kept = r;
      const Index y1 = std::max(kept.y0 + kept.height, r.y0 + r.height), x1 = std::max(kept.x0 + kept.width, r.x0 + r.width);
      kept.y0 = std::min(kept.y0, r.y0);
      kept.x0 = std::min(kept.x0, r.x0);
      kept.height = y1 - kept.y0;
      kept.width = x1 - kept.x0;
    }
    return crop(kept);
  }
  Draw& draw = state_[0];
  const Rect rect = frame_.rect;
  const double budget = draw.accounts.trim_budget(call_.options.trim, static_cast<Index>(group_.size()), layers_);
  Index y0 = 0, y1 = rect.height, x0 = 0, x1 = rect.width;
  double taken = 0;
  if (rect.height > 1) {
    const double* sums = &host_sums_.at(sums_ - 3 * rect.height);
    shave(y0, y1, budget, taken, [&](Index y) { return sums[3 * y + 1]; });
  }
  make_room(device_sums_, rect.width, *call_.budget, pace_);
  column_masses<T>(pixels(), frame_.cropped(y0, y1, 0, rect.width), 1.0, device_sums_.data(), pace_);
  device_sums_.to_host(host_sums_.room(rect.width), rect.width, call_.stream);
  pace_.wait();
  shave(x0, x1, budget, taken, [&](Index x) { return host_sums_.at(x); });
  draw.accounts.add_trimmed(taken_at_most(taken));
  draw.rect = {rect.y0 + y0, rect.x0 + x0, y1 - y0, x1 - x0};
  crop(draw.rect);
}

template <class T, int parts>
void Chain<T, parts>::crop(const Rect& kept) {
  const Index y0 = kept.y0 - frame_.rect.y0, x0 = kept.x0 - frame_.rect.x0;
  frame_ = frame_.cropped(y0, y0 + kept.height, x0, x0 + kept.width);
}

template class Chain<float, 1>;
template class Chain<double, 1>;
template class Chain<double, 2>;

}  // namespace erffast::cuda
