// Many equal 1-D layers in one kernel, by repeated squaring.
//
// Squaring convolves two long sequences directly, not by FFT: all terms are positive, so every value keeps its *relative*
// precision far into the tails, which an FFT cannot give (its error is relative to the peak). With trimming the sequences
// grow as sqrt(count), so the last squaring costs about count multiply-adds times a constant: cheaper than `count` layers.
#include <algorithm>
#include <cmath>
#include <limits>

#include "erffast/propagate.hpp"
#include "trim.hpp"

namespace erffast {
namespace {

constexpr Index chunk_taps = 64;      // partial sums: the error bound of a sum of m terms is 64 + m/64 roundings, not m
constexpr Index chunk_pixels = 2048;  // between two looks at the clock

// A sequence with its scale, position and accounts.
template <class T>
struct Sequence {
  std::vector<T> values;  // peak near 2**peak_exponent
  Index origin = 0;
  Index exponent = 0;     // true value = value * 2**exponent
  double trimmed = 0;     // share of the mass
  double rounding = 0;    // relative
};

template <class T>
double mass_of(const std::vector<T>& values) {
  double mass = 0;
  for (T v : values) mass += static_cast<double>(v);
  return mass;
}

template <class T>
class Composer {
 public:
  Composer(Index memory_limit, Monitor& monitor) : limit_(memory_limit), monitor_(monitor), kernels_(kernels_of<T>(kernel_table())) {}

  // a * b. `b` is rescaled to a sum below 1 on the way in, so that the result has the scale of `a` or less.
  Sequence<T> product(const Sequence<T>& a, const Sequence<T>& b) {
    if (a.values.size() < b.values.size()) return product(b, a);
    const Index na = static_cast<Index>(a.values.size()), nb = static_cast<Index>(b.values.size());
    const Index n = na + nb - 1;
    if (8 * n * static_cast<Index>(sizeof(T)) > limit_) throw MemoryLimit(8 * n * static_cast<Index>(sizeof(T)));
    std::vector<T> padded(static_cast<std::size_t>(na + 2 * (nb - 1) + overrun), T(0));
    std::copy(a.values.begin(), a.values.end(), padded.begin() + (nb - 1));
    int e;
    std::frexp(mass_of(b.values), &e);
    std::vector<Tap<T>> taps(static_cast<std::size_t>(nb));
    for (Index t = 0; t < nb; ++t) {
      const auto i = static_cast<std::size_t>(t);
      taps[i] = {padded.data() + (nb - 1 - t), static_cast<T>(std::ldexp(b.values[i], -e))};
    }
    Sequence<T> out;
    out.values.resize(static_cast<std::size_t>(n));
    sums(taps, out.values);
    out.origin = a.origin + b.origin;
    out.exponent = a.exponent + b.exponent + e;
    out.trimmed = a.trimmed + b.trimmed;
    const double terms = static_cast<double>(nb <= chunk_taps ? nb : chunk_taps + nb / chunk_taps + 1);
    out.rounding = a.rounding + b.rounding + terms * (sizeof(T) == 8 ? 0x1p-53 : 0x1p-24);
    rescale(out);
    return out;
  }

  // Leaves out at most the share `budget` at the two ends; without a budget only exact zeros.
  void trim(Sequence<T>& s, double budget) {
    const double mass = mass_of(s.values);
    Index first = 0, last = static_cast<Index>(s.values.size());
    const auto at = [&](Index i) { return static_cast<double>(s.values[static_cast<std::size_t>(i)]); };
    double left = 0, right = 0;
    while (last - first > 1 && left + at(first) <= budget * mass / 2) left += at(first++);
    while (last - first > 1 && right + at(last - 1) <= budget * mass / 2) right += at(--last);
    s.trimmed += (left + right) / mass * (1 + 1e-9);
    s.values.erase(s.values.begin() + last, s.values.end());
    s.values.erase(s.values.begin(), s.values.begin() + first);
    s.origin += first;
  }

  void rescale(Sequence<T>& s) {
    const double peak = static_cast<double>(kernels_.max_abs(s.values.data(), static_cast<Index>(s.values.size())));
    int e;
    std::frexp(peak, &e);
    const int up = peak_exponent<T> - e;
    if (up == 0) return;
    for (T& v : s.values) v = static_cast<T>(std::ldexp(v, up));
    s.exponent -= up;
  }

 private:
  void sums(const std::vector<Tap<T>>& taps, std::vector<T>& out) {
    const Index n = static_cast<Index>(out.size()), n_taps = static_cast<Index>(taps.size());
    std::vector<T> total(static_cast<std::size_t>(chunk_pixels + overrun)), part(total.size());
    std::vector<Tap<T>> shifted(taps.size());
    for (Index x = 0; x < n; x += chunk_pixels) {
      const Index width = std::min(chunk_pixels, n - x);
      for (std::size_t t = 0; t < taps.size(); ++t) shifted[t] = {taps[t].source + x, taps[t].weight};
      for (Index t = 0; t < n_taps; t += chunk_taps) {
        T* target = t == 0 ? total.data() : part.data();
        kernels_.fir(target, shifted.data() + t, std::min(chunk_taps, n_taps - t), width);
        if (t > 0) {
          for (Index i = 0; i < width; ++i) total[static_cast<std::size_t>(i)] += part[static_cast<std::size_t>(i)];
        }
      }
      std::copy_n(total.begin(), width, out.begin() + x);
      monitor_.tick(width * n_taps);
      monitor_.throw_if_stopped();
    }
  }

  Index limit_;
  Monitor& monitor_;
  const Kernels<T>& kernels_;
};

template <class T>
Sequence<T> dilated(Sequence<T> s, Index dilation) {
  if (dilation == 1) return s;
  std::vector<T> wide((s.values.size() - 1) * static_cast<std::size_t>(dilation) + 1, T(0));
  for (std::size_t i = 0; i < s.values.size(); ++i) wide[i * static_cast<std::size_t>(dilation)] = s.values[i];
  s.values = std::move(wide);
  s.origin *= dilation;
  return s;
}

}  // namespace

template <class T>
Image<T> power(const T* taps, Index n, Index count, Index dilation, const T* image, Index width, double trim, Index memory_limit, Monitor& monitor) {
  Composer<T> composer(memory_limit, monitor);
  Sequence<T> base;
  base.values.assign(taps, taps + n);
  composer.rescale(base);
  // The first 16 to 31 layers one by one: there, squaring would add more roundings than it saves.
  int squarings = 0;
  while ((count >> squarings) >= 32) ++squarings;
  const double stages = squarings + 2.0;
  const auto tidy = [&](Sequence<T>& s, Index copies) {
    composer.trim(s, trim * static_cast<double>(copies) / static_cast<double>(count) / stages);
  };
  Sequence<T> result = base;
  for (Index i = 1; i < (count >> squarings); ++i) result = composer.product(result, base);
  tidy(result, count >> squarings);
  for (int bit = squarings - 1; bit >= 0; --bit) {
    result = composer.product(result, result);
    if ((count >> bit) & 1) result = composer.product(result, base);
    tidy(result, count >> bit);
  }
  Sequence<T> start;
  start.values.assign(image, image + width);
  composer.rescale(start);
  result = composer.product(start, dilated(result, dilation));
  composer.trim(result, trim / stages);

  Image<T> out;
  out.exponent = result.exponent;
  out.trimmed = result.trimmed;
  out.rounding = result.rounding;
  const Index n_out = static_cast<Index>(result.values.size());
  out.plane.reshape(1, {0, result.origin, 1, n_out}, 0, std::numeric_limits<Index>::max());
  std::copy(result.values.begin(), result.values.end(), out.plane.row(0, 0));
  return out;
}

template Image<float> power(const float*, Index, Index, Index, const float*, Index, double, Index, Monitor&);
template Image<double> power(const double*, Index, Index, Index, const double*, Index, double, Index, Monitor&);

}  // namespace erffast
