#include "sequence.hpp"

#include <algorithm>
#include <cmath>

#include "erffast/kernels.hpp"

namespace erffast {
namespace {

// Below this many multiply-adds a product is not worth waking other threads for (they cost some 10 us).
constexpr Index parallel_work = 1'000'000;

Index rounded_up(Index n, Index unit) { return (n + unit - 1) / unit * unit; }

double mass_of(const Sequence& s) { return kernel_table().f64.sum(s.data(), s.size()); }

bool symmetric(const Sequence& s) { return std::equal(s.values.begin(), s.values.begin() + s.size() / 2, s.values.rbegin()); }

// Leaves out the ends that hold at most `allowed` each; returns what they held.
double cut_ends(Sequence& s, double allowed) {
  Index first = 0, last = s.size();
  const double* v = s.data();
  double left = 0, right = 0;
  while (last - first > 1 && left + v[first] <= allowed) left += v[first++];
  while (last - first > 1 && right + v[last - 1] <= allowed) right += v[--last];
  s.values.resize(static_cast<std::size_t>(last));
  s.values.erase(s.values.begin(), s.values.begin() + first);
  s.origin += first;
  return left + right;
}

}  // namespace

int binary_exponent(double value) {
  int e;
  std::frexp(value, &e);
  return e;
}

void times_power(std::vector<double>& values, int e) {
  while (e != 0) {  // a double has no room for the factor of a large e
    const int step = std::clamp(e, -1000, 1000);
    kernel_table().f64.scaled(values.data(), values.data(), std::ldexp(1.0, step), static_cast<Index>(values.size()));
    e -= step;
  }
}

double sum_rounding(Index terms) {
  const Index chunks = (terms + chunk_taps - 1) / chunk_taps;
  return static_cast<double>(std::min(terms, chunk_taps) + chunks - 1) * 0x1p-53;
}

void rescale(Sequence& s) {
  const double peak = kernel_table().f64.max_abs(s.data(), s.size());
  if (peak == 0) return;
  const int up = peak_exponent<double> - binary_exponent(peak);
  times_power(s.values, up);
  s.exponent -= up;
}

void trim(Sequence& s, double budget) {
  const double mass = mass_of(s);
  if (mass > 0) s.trimmed += cut_ends(s, budget * mass / 2) / mass * (1 + 1e-9);
}

void drop_faint(Sequence& s) { cut_ends(s, std::ldexp(1.0, peak_exponent<double> - 1200)); }

void Products::require(Index values) const {
  const Index bytes = 4 * values * static_cast<Index>(sizeof(double));
  if (bytes > composing_.memory_limit) throw MemoryLimit(bytes);
}

Sequence Products::of(const Sequence& a, const Sequence& b) const {
  if (a.size() < b.size()) return of(b, a);
  const Index n = a.size() + b.size() - 1;
  require(n + a.size() + 2 * b.size());
  Sequence out;
  out.origin = a.origin + b.origin;
  out.exponent = a.exponent + b.exponent;
  out.trimmed = a.trimmed + b.trimmed;
  out.rounding = a.rounding + b.rounding;
  if (b.size() == 1 && b.values[0] == std::ldexp(1.0, peak_exponent<double> - 1)) {  // one pixel of a power of two: nothing to round
    out.values = a.values;
    out.exponent += peak_exponent<double> - 1;
    return out;
  }
  out.rounding += sum_rounding(b.size());
  // the smaller factor is brought to a sum near 2**90, so that no sum exceeds 2**1000 and its faintest values stay normal numbers
  const int down = 90 - binary_exponent(mass_of(b));
  const Index n_taps = rounded_up(b.size(), taps_at_once);
  std::vector<double> taps(static_cast<std::size_t>(n_taps), 0.0);
  std::copy(b.values.begin(), b.values.end(), taps.begin());
  times_power(taps, down);
  out.exponent -= down;
  std::vector<double> padded(static_cast<std::size_t>(rounded_up(n, outputs_at_once) + 2 * n_taps), 0.0);
  std::copy(a.values.begin(), a.values.end(), padded.begin() + n_taps);
  // a palindrome is known from its first half
  const Index half = symmetric(a) && symmetric(b) ? (n + 1) / 2 : n;
  out.values.resize(static_cast<std::size_t>(rounded_up(n, outputs_at_once)));
  sums(padded.data() + n_taps, a.size(), taps, b.size(), out.data(), half);
  out.values.resize(static_cast<std::size_t>(n));
  for (Index x = half; x < n; ++x) out.values[static_cast<std::size_t>(x)] = out.values[static_cast<std::size_t>(n - 1 - x)];
  rescale(out);
  return out;
}

// Tiles of outputs, dealt to the threads in turn; each with the chunks of taps that meet the source there.
void Products::sums(const double* source, Index n_source, const std::vector<double>& taps, Index n_taps, double* out, Index n_out) const {
  const ProfileKernels& kernels = *kernel_table().profile;
  const Index tiles = (n_out + outputs_at_once - 1) / outputs_at_once;
  const auto band = [&](Index thread, Index threads) {
    for (Index i = thread; i < tiles && !monitor_.stopped(); i += threads) {
      const Index x = i * outputs_at_once;
      const Index first = std::max<Index>(0, x - n_source + 1) / chunk_taps * chunk_taps;
      const Index last = std::min(static_cast<Index>(taps.size()), rounded_up(x + outputs_at_once, taps_at_once));
      kernels.convolve(out + x, source + x - first, taps.data() + first, last - first);
      if (thread == 0) monitor_.tick((last - first) * outputs_at_once * threads);
    }
  };
  Team* team = n_taps * n_out > parallel_work ? composing_.team : nullptr;
  if (team != nullptr && team->size() > 1) {
    team->run([&](int thread) { band(thread, team->size()); });
  } else {
    band(0, 1);
  }
  monitor_.throw_if_stopped();
}

}  // namespace erffast
