// Batch norm as it is after calibration: mean and variance of each channel are those over the map, and constants for the gradient.
#pragma once

#include <cmath>
#include <vector>

#include "erffast/plane.hpp"
#include "erffast/simulate.hpp"
#include "simulation/layout.hpp"
#include "simulation/scaled.hpp"

namespace erffast::simulation {

inline constexpr double norm_epsilon = 1e-5;  // beside the variance; torch's default

template <class T>
class Norm {
 public:
  // Standardises all channels of the value's rectangle, the whole map. Their scale is lost, but for what epsilon is beside it.
  void forward(const Layout<T>& layout, const Value& value, Scaled<T>& map) {
    const Rect& r = value.rect;
    const Index step = layout.step(value.channels);
    const double pixels = static_cast<double>(r.height * r.width), epsilon = norm_epsilon * power_of_two<double>(-2 * map.exponent);
    factors_.resize(static_cast<std::size_t>(value.channels));
    exponent_ = map.exponent;
    map.exponent = 0;
    for (Index c = 0; c < value.channels; ++c) {
      const auto each = [&](const auto& visit) {
        for (Index y = 0; y < r.height; ++y) {
          T* row = layout.row(map.plane, c, y);
          for (Index x = 0; x < r.width; ++x) visit(row[x * step]);
        }
      };
      double sum = 0, squares = 0;
      each([&](T& v) { sum += static_cast<double>(v); });
      const double mean = sum / pixels;
      each([&](T& v) { squares += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean); });
      const double factor = 1 / std::sqrt(squares / pixels + epsilon);
      factors_[static_cast<std::size_t>(c)] = std::isfinite(factor) ? factor : 0;  // of zeros all alike
      each([&](T& v) { v = static_cast<T>((static_cast<double>(v) - mean) * factors_[static_cast<std::size_t>(c)]); });
    }
  }

  // `value`: the rectangle that the gradient is of.
  void backward(const Layout<T>& layout, const Value& value, Scaled<T>& gradient) const {
    const Index step = layout.step(value.channels);
    for (Index c = 0; c < value.channels; ++c) {
      const T factor = static_cast<T>(factors_[static_cast<std::size_t>(c)]);
      for (Index y = 0; y < value.rect.height; ++y) {
        T* row = layout.row(gradient.plane, c, y);
        for (Index x = 0; x < value.rect.width; ++x) row[x * step] *= factor;
      }
    }
    gradient.exponent -= exponent_;
  }

 private:
  std::vector<double> factors_;  // [channels], at the scale the values had
  Index exponent_ = 0;
};

}  // namespace erffast::simulation
