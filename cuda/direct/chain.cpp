#include "chain.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "direct/trim.hpp"
#include "erffast/separable.hpp"

namespace erffast::cuda {
namespace {

// Layers whose scale is chosen together where nothing is trimmed.
constexpr std::size_t most_untrimmed = 128;
// Half of the range (450 bits, in float32 45) may be lost by cancellation before a group is made again. A random signed layer of n taps
// falls short of its gain by log2(n) / 2 bits or less; as many layers go together as make 4/5 of that.
template <class T>
constexpr double most_lost = 0.4 * peak_exponent<T>;
constexpr Index most_sums = 1 << 21;  // numbers that borders of a group leave for the host to add up

template <class T>
Power<T> power_of_two(int exponent) {
  return {static_cast<T>(std::ldexp(1.0, exponent / 2)), static_cast<T>(std::ldexp(1.0, exponent - exponent / 2))};
}

template <class T>
Rect full_rect(const Run<T>& run, const Rect& r) {
  return {r.y0 * run.stride[0] - run.before[0], r.x0 * run.stride[1] - run.before[1],
          run.stride[0] * (r.height - 1) + run.dilation[0] * (run.kernel[0] - 1) + 1,
          run.stride[1] * (r.width - 1) + run.dilation[1] * (run.kernel[1] - 1) + 1};
}

bool empty(const Rect& rect) { return rect.height <= 0 || rect.width <= 0; }

// Room for n elements; what was in it is lost. A growing image would ask for a little more each time, and the device's memory is
// slow to be had: `least` is taken at once where that is a small part of the budget.
template <class U>
void make_room(DeviceArray<U>& array, Index n, Budget& budget, Index least = 0) {
  if (n <= array.size()) return;
  array = DeviceArray<U>();
  const Index more = std::min(std::max(n + n / 2, least), budget.left() / 8 / static_cast<Index>(sizeof(U)));
  array = DeviceArray<U>(std::max(n, more), &budget);
}

constexpr Index least_pixels = 1 << 20;

// The largest frame of a chain that nothing is trimmed from, in elements a draw.
template <class T>
double largest_frame(const std::vector<Run<T>>& runs, Index channels, Index parts) {
  double height = 1, width = 1, largest = 1;  // the user's numbers: their sums may exceed 64 bits
  for (const Run<T>& run : runs) {
    if (run.channels_out > 0) channels = run.groups * run.channels_in;
    const bool grows_evenly = !run.bounded && run.stride[0] == 1 && run.stride[1] == 1;
    const double layers = grows_evenly ? static_cast<double>(run.count) : 1;  // at a time
    const auto side = [&](double from, int axis) {
      const double added = static_cast<double>(run.dilation[axis]) * static_cast<double>(run.kernel[axis] - 1);
      return static_cast<double>(run.stride[axis]) * (from - 1) + layers * added + 1;
    };
    for (Index i = 0; i < (grows_evenly ? 1 : run.count) && largest < 0x1p60; ++i) {
      height = side(height, 0);
      width = side(width, 1);
      largest = std::max(largest, static_cast<double>(channels * parts) * height * (width + 32));
      if (!run.bounded) continue;
      height = std::min(height, static_cast<double>(run.extent[0] + i * run.growth[0]));
      width = std::min(width, static_cast<double>(run.extent[1] + i * run.growth[1]));
    }
  }
  return largest;
}

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
  const auto held = std::make_shared<HeldPixels<T>>(call_.budget, std::move(buffers_[current_]));
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
  make_room(buffers_[0], static_cast<Index>(first.size()), *call_.budget);
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
  make_room(buffers_[current_], frame_.per_draw, *call_.budget);
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
    plan();
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
  Layer layer{index, step, step + 1 == run.count ? Position{index + 1, 0} : Position{index, step + 1}, {}, {}};
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

// Fills `passes_`, and cuts the group where its map keeps nothing or the host would have too much to add up.
template <class T, int parts>
void Chain<T, parts>::plan() {
  passes_.clear();
  sums_ = 0;
  Frame at = frame_;
  for (std::size_t i = 0; i < group_.size();) {
    const bool fused = fuses(call_.runs[group_[i].run], at);
    Pass pass = fused ? fused_pass(i, at) : step_pass(i, at);
    i += fused ? static_cast<std::size_t>(pass.plan.layers.n) : 1;
    at = pass.kept;
    passes_.push_back(std::move(pass));
    if (empty(at.rect) || sums_ > most_sums) group_.erase(group_.begin() + static_cast<std::ptrdiff_t>(i), group_.end());
  }
}

template <class T, int parts>
bool Chain<T, parts>::fuses(const Run<T>& run, const Frame& at) const {
  if (parts != 1 || run.bounded || run.scale != nullptr || run.stride[0] != 1 || run.stride[1] != 1) return false;
  if (run.channels_out > 1 || run.channels_in > 1 || at.channels > 1) return false;
  if (run.dilation[0] * run.kernel[0] > most_reach || run.dilation[1] * run.kernel[1] > most_reach) return false;
  return fits_fused<T>({0, 0, static_cast<int>(run.kernel[0]), static_cast<int>(run.kernel[1]), static_cast<int>(run.dilation[0]), static_cast<int>(run.dilation[1])},
                       call_.limits);
}

template <class T, int parts>
FusedLayer Chain<T, parts>::fused_layer(const Layer& layer) const {
  const Run<T>& run = call_.runs[layer.run];
  return {call_.taps.offset(call_.runs, layer.run, layer.step, first_draw_), call_.taps.per_draw(call_.runs, layer.run),
          static_cast<int>(run.kernel[0]), static_cast<int>(run.kernel[1]), static_cast<int>(run.dilation[0]), static_cast<int>(run.dilation[1])};
}

template <class T, int parts>
typename Chain<T, parts>::Pass Chain<T, parts>::fused_pass(std::size_t first, const Frame& at) {
  std::vector<FusedLayer> layers;
  for (std::size_t i = first; i < group_.size() && layers.size() < most_fused && fuses(call_.runs[group_[i].run], at); ++i) {
    layers.push_back(fused_layer(group_[i]));
  }
  Pass pass{first, plan_fused<T>(layers, at.rect.height, at.rect.width, draws_, call_.limits), {}, {}};
  Rect rect = at.rect;
  for (int i = 0; i < pass.plan.layers.n; ++i) rect = full_rect(call_.runs[group_[first + static_cast<std::size_t>(i)].run], rect);
  pass.to = pass.kept = Frame::of<T>(rect, 1, parts);
  return pass;
}

template <class T, int parts>
typename Chain<T, parts>::Pass Chain<T, parts>::step_pass(std::size_t layer, const Frame& at) {
  const Run<T>& run = call_.runs[group_[layer].run];
  Pass pass{layer, {}, {}, {}};
  const Rect r = full_rect(run, at.rect);
  pass.to = pass.kept = Frame::of<T>(r, run.channels_out == 0 ? at.channels : run.groups * run.channels_in, parts);
  if (!run.bounded) return pass;
  const Index step = group_[layer].step;
  const Index height = run.extent[0] + step * run.growth[0], width = run.extent[1] + step * run.growth[1];
  const Index y0 = std::max<Index>(0, -r.y0), y1 = std::min(r.height, height - r.y0);
  const Index x0 = std::max<Index>(0, -r.x0), x1 = std::min(r.width, width - r.x0);
  if (y0 == 0 && x0 == 0 && y1 == r.height && x1 == r.width) return pass;
  pass.kept = pass.to.cropped(y0, y1, x0, x1);
  pass.sums = sums_;
  sums_ += 3 * draws_ * pass.to.channels * r.height;
  return pass;
}

template <class T, int parts>
void Chain<T, parts>::send_scales() {
  const Index n = static_cast<Index>(group_.size()) * draws_;
  Power<T>* to = host_scales_.room(n);
  for (const Layer& layer : group_) {
    for (const int exponent : layer.exponents) *to++ = power_of_two<T>(exponent);
  }
  make_room(scales_, n, *call_.budget);
  scales_.from_host(host_scales_.data(), n, call_.stream);
}

// A buffer that may be written: neither the one that is read, nor the input of a group that may be made again.
template <class T, int parts>
T* Chain<T, parts>::target(const Frame& frame) {
  constexpr Index most_side = std::numeric_limits<int>::max();  // kernels count rows and columns in 32 bits
  if (frame.rect.height > most_side || frame.rect.width > most_side) throw std::length_error("an image on a GPU may have 2147483647 pixels along an axis");
  int next = 0;
  while (next == current_ || (next == source_ && !keeps_range_)) ++next;
  make_room(buffers_[next], frame.per_draw * draws_, *call_.budget, least_pixels);
  current_ = next;
  return buffers_[next].data();
}

// Launches the group, and after it what the host wants to know.
template <class T, int parts>
void Chain<T, parts>::execute() {
  const Index trimmed_rows = trims() && passes_.back().kept.rect.height > 1 ? 3 * passes_.back().kept.rect.height : 0;
  make_room(device_sums_, sums_ + trimmed_rows, *call_.budget);
  measures_.zero(call_.stream);
  for (const Pass& pass : passes_) {
    const bool last = &pass == &passes_.back();
    if (pass.plan.layers.n > 0) {
      const T* in = pixels();
      const Frame from = frame_;
      const Power<T>* scales = scales_.data() + static_cast<Index>(pass.first) * draws_;
      fused_layers<T>(pass.plan, call_.taps.data(), scales, in, from, target(pass.to), pass.to, draws_, last ? measures_.data() : nullptr, pace_);
      frame_ = pass.to;
    } else {
      step(pass);
      if (last && !empty(frame_.rect)) measure<T, parts>(pixels(), frame_, draws_, measures_.data(), pace_);
    }
  }
  if (trimmed_rows > 0) row_sums<T>(pixels(), frame_, 1, {0, 0, frame_.rect.height, frame_.rect.width}, 0.0, device_sums_.data() + sums_, pace_);
  sums_ += trimmed_rows;
}

template <class T, int parts>
void Chain<T, parts>::step(const Pass& pass) {
  const Layer& layer = group_[pass.first];
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
  const FusedLayer taps = fused_layer(layer);
  const T* in = pixels();
  T* out = target(pass.to);
  backward_step<T, parts>(run, call_.taps.data() + taps.taps, taps.taps_per_draw, scales_.data() + static_cast<Index>(pass.first) * draws_, in,
                          frame_, out, pass.to, draws_, pace_);
  frame_ = pass.kept;
  if (pass.sums < 0) return;
  const Rect &whole = pass.to.rect, &kept = pass.kept.rect;
  const Rect inside = {kept.y0 - whole.y0, kept.x0 - whole.x0, kept.height, kept.width};
  const double scale = call_.options.non_negative ? 0.0 : std::ldexp(1.0, -peak_exponent<T>);  // squares of the working scale would overflow
  row_sums<T>(out, pass.to, draws_, inside, scale, device_sums_.data() + pass.sums, pace_);
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
  for (const Pass& pass : passes_) {
    const std::size_t n = pass.plan.layers.n > 0 ? static_cast<std::size_t>(pass.plan.layers.n) : 1;
    for (std::size_t i = pass.first; i < pass.first + n; ++i) {
      const Layer& layer = group_[i];
      if (call_.runs[layer.run].scale != nullptr) draw.accounts.add_rescaled();
      const std::size_t which = static_cast<std::size_t>(d);
      draw.accounts.add_layer(layer.taps[layer.taps.size() == 1 ? 0 : which], layer.exponents[which]);
    }
    if (pass.sums >= 0 && !clip(draw, pass, d)) return false;
  }
  return true;
}

template <class T, int parts>
bool Chain<T, parts>::clip(Draw& draw, const Pass& pass, Index index) const {
  const Index rows = pass.to.channels * pass.to.rect.height;
  const double* sums = &host_sums_.at(pass.sums + 3 * index * rows);
  const Index y0 = pass.kept.rect.y0 - pass.to.rect.y0, y1 = y0 + pass.kept.rect.height;
  double inside = 0, outside = 0;
  for (Index r = 0; r < rows; ++r, sums += 3) {
    const Index y = r % pass.to.rect.height;
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
  make_room(device_sums_, rect.width, *call_.budget);
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

// ------------------------------------------------------------------------------------------------ a call

template <class T, int parts>
std::vector<ImageOnDevice<T>> propagate(const std::vector<Run<T>>& runs, const Options& options, Monitor& monitor) {
  const auto budget = std::make_shared<Budget>(options.memory_limit);
  Stream stream;
  const ChainTaps<T> taps(runs, budget.get(), stream);
  const Call<T> call{runs, options, taps, limits_of_device(), budget, stream, monitor};
  std::vector<ImageOnDevice<T>> images;
  // Signed draws stay in one rectangle, and go together; others are trimmed by their own mass.
  Index most = options.non_negative ? 1 : options.draws;
  for (Index first = 0; first < options.draws;) {
    const Index draws = std::min(most, options.draws - first);
    try {
      std::vector<ImageOnDevice<T>> more = Chain<T, parts>(call, first, draws).run();
      std::move(more.begin(), more.end(), std::back_inserter(images));
      first += draws;
    } catch (const MemoryLimit&) {
      if (draws == 1) throw;
      most = (draws + 1) / 2;
    }
  }
  return images;
}

template std::vector<ImageOnDevice<float>> propagate<float, 1>(const std::vector<Run<float>>&, const Options&, Monitor&);
template std::vector<ImageOnDevice<double>> propagate<double, 1>(const std::vector<Run<double>>&, const Options&, Monitor&);
template std::vector<ImageOnDevice<double>> propagate<double, 2>(const std::vector<Run<double>>&, const Options&, Monitor&);

}  // namespace erffast::cuda
