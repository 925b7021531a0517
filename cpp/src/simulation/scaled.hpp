// Images with a power of two, and the memory that they take turns in.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "erffast/kernels.hpp"
#include "erffast/plane.hpp"
#include "simulation/layout.hpp"

namespace erffast::simulation {

// Peaks within 2**-span to 2**span are left as they are.
template <class T>
inline constexpr int span = sizeof(T) == 8 ? 300 : 30;

template <class T>
struct Scaled {
  Plane<T> plane;
  Index exponent = 0;
  bool present = false;
};

template <class T>
T power_of_two(Index exponent) {
  return static_cast<T>(std::ldexp(1.0, static_cast<int>(std::clamp<Index>(exponent, -2000, 2000))));
}

template <class T>
void multiply(Plane<T>& plane, T factor) {
  for (Index c = 0; c < plane.channels(); ++c) {
    for (Index y = 0; y < plane.rect().height; ++y) {
      T* row = plane.row(c, y);
      for (Index x = 0; x < plane.rect().width; ++x) row[x] *= factor;
    }
  }
}

// Multiplies every channel by an image [rows, columns] of the value's rectangle.
template <class T>
void multiply(Plane<T>& plane, const Layout<T>& layout, const Value& value, const double* image) {
  const Index step = layout.step(value.channels);
  for (Index c = 0; c < value.channels; ++c) {
    for (Index y = 0; y < value.rect.height; ++y) {
      T* row = layout.row(plane, c, y);
      for (Index x = 0; x < value.rect.width; ++x) row[x * step] = static_cast<T>(row[x * step] * image[y * value.rect.width + x]);
    }
  }
}

// Brings a peak that has left the span to 1.
template <class T>
void tame(Scaled<T>& scaled, T peak) {
  if (peak == 0 || !std::isfinite(peak) || std::abs(std::ilogb(peak)) <= span<T>) return;
  const int e = std::ilogb(peak);
  multiply(scaled.plane, power_of_two<T>(-e));
  scaled.exponent += e;
}

// sum += factor * term where both are.
template <class T>
void add_rows(Plane<T>& sum, const Plane<T>& term, T factor) {
  const Rect &s = sum.rect(), &t = term.rect();
  const Index x0 = std::max(s.x0, t.x0), n = std::min(s.x0 + s.width, t.x0 + t.width) - x0;
  for (Index c = 0; c < sum.channels(); ++c) {
    for (Index y = std::max(s.y0, t.y0); y < std::min(s.y0 + s.height, t.y0 + t.height); ++y) {
      T* to = sum.row(c, y - s.y0) + (x0 - s.x0);
      const T* from = term.row(c, y - t.y0) + (x0 - t.x0);
      for (Index x = 0; x < n; ++x) to[x] += factor * from[x];
    }
  }
}

// At the larger of the two scales.
template <class T>
void add(Scaled<T>& sum, const Scaled<T>& term) {
  const Index e = std::max(sum.exponent, term.exponent);
  if (sum.exponent < e) multiply(sum.plane, power_of_two<T>(sum.exponent - e));
  sum.exponent = e;
  add_rows(sum.plane, term.plane, power_of_two<T>(term.exponent - e));
}

// The largest absolute value; not a number where one is not.
template <class T>
T largest(const Plane<T>& plane) {
  const Kernels<T>& kernels = kernels_of<T>(kernel_table());
  T peak = 0;
  for (Index c = 0; c < plane.channels(); ++c) {
    for (Index y = 0; y < plane.rect().height; ++y) {
      const T* row = plane.row(c, y);
      const Index width = plane.rect().width;
      peak = std::max(peak, kernels.max_abs(row, width));
      if (std::isfinite(kernels.sum(row, width))) continue;
      for (Index x = 0; x < width; ++x) {
        if (row[x] != row[x]) return row[x];
      }
    }
  }
  return peak;
}

inline bool same(const Rect& a, const Rect& b) { return a.y0 == b.y0 && a.x0 == b.x0 && a.height == b.height && a.width == b.width; }

// The planes of one network at work. Those given back serve the next.
template <class T>
class Planes {
 public:
  // `margin`: zero columns that all of them have at each side. `limit`: bytes of each.
  Planes(Index margin, Index limit) : margin_(margin), limit_(limit) {}

  Index margin() const { return margin_; }
  Index limit() const { return limit_; }

  Plane<T> spare() {
    if (spares_.empty()) return Plane<T>();
    Plane<T> plane = std::move(spares_.back());
    spares_.pop_back();
    return plane;
  }

  void release(Scaled<T>& scaled) {
    if (scaled.present) spares_.push_back(std::move(scaled.plane));
    scaled.present = false;
  }

  Plane<T> zeros(Index channels, const Rect& rect) {
    Plane<T> zero = spare();
    zero.reshape(channels, rect, margin_, limit_);
    for (Index c = 0; c < channels; ++c) {
      for (Index y = 0; y < rect.height; ++y) std::fill_n(zero.row(c, y) - margin_, rect.width + 2 * margin_ + overrun, T(0));
    }
    return zero;
  }

  Plane<T> copied(const Plane<T>& from) {
    Plane<T> copy = spare();
    copy.reshape(from.channels(), from.rect(), margin_, limit_);
    for (Index c = 0; c < from.channels(); ++c) {
      for (Index y = 0; y < from.rect().height; ++y) {
        std::copy_n(from.row(c, y), from.rect().width, copy.row(c, y));
        copy.clear_margins(c, y);
      }
    }
    return copy;
  }

  // Cuts a plane to a rectangle, or fills it up with zeros.
  void fit(Plane<T>& plane, const Rect& to) {
    const Rect from = plane.rect();
    if (same(from, to)) return;
    const Index y0 = to.y0 - from.y0, x0 = to.x0 - from.x0;
    if (y0 >= 0 && x0 >= 0 && y0 + to.height <= from.height && x0 + to.width <= from.width) {
      return plane.crop(y0, y0 + to.height, x0, x0 + to.width);
    }
    Scaled<T> old{std::move(plane), 0, true};
    plane = zeros(old.plane.channels(), to);
    add_rows(plane, old.plane, T(1));
    release(old);
  }

 private:
  Index margin_, limit_;
  std::vector<Plane<T>> spares_;
};

}  // namespace erffast::simulation
