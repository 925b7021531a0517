// Activations: the pixel after it, and the derivative at the pixel before it.
#pragma once

#include <cmath>

#include "erffast/simulate.hpp"
#include "simulation/gate.hpp"

namespace erffast::simulation {

inline constexpr double leaky_slope = 0.01;  // torch's default

// Whether f(s x) = s f(x) for positive s.
constexpr bool scale_free(Function f) { return f == Function::relu || f == Function::leaky_relu; }

// Applies the function to all pixels and keeps its derivatives.
template <class T>
void activate(Function function, Plane<T>& plane, Gate<T>& gate) {
  switch (function) {
    case Function::relu: return gate.open_positive(plane, T(0));
    case Function::leaky_relu: return gate.open_positive(plane, static_cast<T>(leaky_slope));
    case Function::tanh:
      return gate.differentiate(plane, [](T& v) {
        v = std::tanh(v);
        return (1 - v) * (1 + v);
      });
    case Function::sigmoid:
      return gate.differentiate(plane, [](T& v) {
        const T other = 1 / (1 + std::exp(v));
        v = 1 / (1 + std::exp(-v));
        return v * other;
      });
    case Function::gelu:
      return gate.differentiate(plane, [](T& v) {
        constexpr T root_half = static_cast<T>(0.70710678118654752440), density = static_cast<T>(0.39894228040143267794);  // 1 / sqrt(2 pi)
        const T below = std::erfc(-v * root_half) / 2;
        const T slope = below + v * density * std::exp(-v * v / 2);
        v *= below;
        return slope;
      });
    case Function::silu:
      return gate.differentiate(plane, [](T& v) {
        const T other = 1 / (1 + std::exp(v)), share = 1 / (1 + std::exp(-v));
        const T slope = share * (1 + v * other);
        v *= share;
        return slope;
      });
  }
}

}  // namespace erffast::simulation
