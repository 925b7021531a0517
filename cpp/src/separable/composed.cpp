// Runs of 1-D layers, composed: what the native engine asks for. All in double; float32 is what comes in and goes out.
#include <algorithm>
#include <limits>
#include <numeric>

#include "distinct.hpp"
#include "erffast/kernels.hpp"
#include "repeats.hpp"

namespace erffast {
namespace {

// Layers from which on composing pays.
constexpr Index least_layers = 32;

// Values `spacing` pixels apart.
Sequence spread(Sequence s, Index spacing) {
  if (spacing == 1) return s;
  std::vector<double> wide(static_cast<std::size_t>((s.size() - 1) * spacing + 1), 0.0);
  for (Index i = 0; i < s.size(); ++i) wide[static_cast<std::size_t>(i * spacing)] = s.values[static_cast<std::size_t>(i)];
  s.values = std::move(wide);
  s.origin *= spacing;
  return s;
}

// The kernel without zeros at its ends and between its taps; what is left stands `spacing` pixels apart.
Sequence condensed(const std::vector<double>& taps, Index& spacing) {
  Sequence s;
  spacing = 0;
  Index first = -1;
  for (Index t = 0; t < static_cast<Index>(taps.size()); ++t) {
    if (taps[static_cast<std::size_t>(t)] == 0) continue;
    if (first < 0) first = t;
    spacing = std::gcd(spacing, t - first);
  }
  spacing = std::max<Index>(spacing, 1);
  s.origin = std::max<Index>(first, 0);
  for (Index t = s.origin; t < static_cast<Index>(taps.size()); t += spacing) s.values.push_back(taps[static_cast<std::size_t>(t)]);
  while (s.size() > 1 && s.values.back() == 0) s.values.pop_back();
  return s;
}

template <class T>
Sequence sequence_of(const T* values, Index n) {
  Sequence s;
  s.values.assign(values, values + n);
  rescale(s);
  return s;
}

// `layers` is the number of kernels in it.
template <class T>
Image<T> image_of(Sequence s, Index layers) {
  Image<T> out;
  if constexpr (sizeof(T) == 4) {
    s.rounding += static_cast<double>(layers) * 0x1p-24;  // of the taps, when they were made float32
    times_power(s.values, peak_exponent<T> - peak_exponent<double>);
    s.exponent -= peak_exponent<T> - peak_exponent<double>;
    s.rounding += 0x1p-24;
  }
  out.exponent = s.exponent;
  out.trimmed = s.trimmed;
  out.rounding = s.rounding;
  out.plane.reshape(1, {0, s.origin, 1, s.size()}, 0, std::numeric_limits<Index>::max());
  std::transform(s.values.begin(), s.values.end(), out.plane.row(0, 0), [](double v) { return static_cast<T>(v); });
  return out;
}

}  // namespace

template <class T>
bool can_compose(const Run<T>& run) {
  return run.count >= least_layers && !run.bounded && run.scale == nullptr && run.stride[0] == 1 && run.stride[1] == 1 && run.kernel[0] == 1 &&
         run.channels_in == 1 && run.channels_out <= 1;
}

template <class T>
Image<T> composed(const Run<T>& run, Index draw, const T* image, Index width, const Composing& composing, Monitor& monitor) {
  const Index n_taps = run.kernel[1];
  const auto read = [&](Index layer, double* taps) {
    const T* from = run.taps + (layer * run.tap_draws + (run.tap_draws == 1 ? 0 : draw)) * n_taps;
    std::copy_n(from, n_taps, taps);
  };
  const Products products(composing, monitor);
  Sequence start = sequence_of(image, width);
  // shares are left out in two places: by the composition, and by its product with the image
  const double share = composing.trim / 2;
  if (run.n_kernels > 1 && run.dilation[1] == 1) {
    return image_of<T>(filtered(std::move(start), {n_taps, run.count, read}, composing.trim, composing, products, monitor), run.count);
  }
  Sequence kernel;
  if (run.n_kernels > 1) {
    const T one = T(1);
    kernel = filtered(sequence_of(&one, 1), {n_taps, run.count, read}, share, composing, products, monitor);
  } else {
    std::vector<double> taps(static_cast<std::size_t>(n_taps));
    read(0, taps.data());
    Index spacing;
    kernel = condensed(taps, spacing);
    kernel = spread(repeated(kernel, run.count, share, composing, products), spacing);
    monitor.add_done(run.count);
  }
  Sequence result = products.of(start, spread(std::move(kernel), run.dilation[1]));
  trim(result, share);
  if (composing.keeps_mass) drop_faint(result);
  return image_of<T>(std::move(result), run.count);
}

template bool can_compose(const Run<float>&);
template bool can_compose(const Run<double>&);
template Image<float> composed(const Run<float>&, Index, const float*, Index, const Composing&, Monitor&);
template Image<double> composed(const Run<double>&, Index, const double*, Index, const Composing&, Monitor&);

}  // namespace erffast
