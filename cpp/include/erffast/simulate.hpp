// Random networks of any layers, forward and backward: the gradient of one unit, draw by draw.
//
// A network is a program of operations on numbered maps ("values"), in forward order. Of each map only the rectangle is computed that
// the unit's gradient asks for; where an operation reads beyond it there is padding.
#pragma once

#include <cstdint>
#include <vector>

#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast::simulation {

enum class Kind { convolution, filter, maximum, norm, activation, dropout, scale, sum };
enum class Function { relu, leaky_relu, tanh, sigmoid, gelu, silu };
enum class Filling { normal, uniform, given };
enum class Reduction { signed_sum, absolute, square, rms, positive };

// Which inputs a unit of a window layer reads: y[i] reads x[stride * i + dilation * a - before], a < kernel.
struct Window {
  Index kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1}, before[2] = {0, 0};
  Index taps() const { return kernel[0] * kernel[1]; }
};

struct Operation {
  Kind kind{};
  std::size_t in = 0, other = 0, out = 0;  // values; `other`: the second term of a sum
  Window window;
  Index groups = 1;
  std::uint32_t layer = 0;         // of its random numbers
  const double* weights = nullptr;  // [weight_draws, channels out, channels in / groups, kernel rows, columns], or null: random
  Index weight_draws = 1;
  const double* spread = nullptr;  // [kernel rows, columns] standard deviations of random weights
  const double* taps = nullptr;    // [kernel rows, columns] of a fixed filter, the same for each channel
  const double* shares = nullptr;  // [rows, columns] of the output rectangle: what a filter's sums are multiplied by, or null
  Function function{};
  double number = 0;               // rate of a dropout, or factor of a scale
  Index exponent = 0;              // of weights, standard deviations and factors: a power of two beside them
};

// A map: its channels, and the rectangle of it that is computed.
struct Value {
  Index channels = 1;
  Rect rect;
};

struct Program {
  std::vector<Value> values;  // the first is the input
  std::vector<Operation> operations;
  Filling filling = Filling::normal;
  const double* inputs = nullptr;  // [input_draws, channels, rows, columns] of the input's rectangle, where given
  Index input_draws = 1;
  Index input_exponent = 0;
  std::uint64_t seed = 0;
  Reduction reduction = Reduction::square;
};

// One draw. True values are image * 2**exponent.
enum class Fate : std::uint8_t { alive, dead, not_finite };
struct Drawn {
  Index exponent = 0;
  Fate fate = Fate::dead;
  double border = 0;    // share of the energy g^2 that left through padding, of a chain
  double rounding = 0;  // estimated error of the gradient, relative to its peak; of a few draws, where draw 0 is among them
};

struct Request {
  Index first = 0, draws = 1;  // draws [first, first + draws)
  int threads = 1;
  Index memory_limit = 0;  // bytes for all that is kept
};

// The gradients of the last value's first pixel and channel with respect to the input, reduced over channels, to `images`
// [draws, rows, columns] of the input's rectangle, the largest of each in [0.5, 1) or 0. Weights and inputs that are given have an
// entry for each draw from `first` on, or one for all. Throws Cancelled, MemoryLimit or std::bad_alloc.
template <class T>
std::vector<Drawn> simulate(const Program& program, const Request& request, double* images, Monitor& monitor);

}  // namespace erffast::simulation
