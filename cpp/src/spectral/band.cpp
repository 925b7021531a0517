#include "band.hpp"

#include <cstdlib>

namespace erffast {
namespace {

Complex times(const Complex& a, const Complex& b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

}  // namespace

Band::Band(const Frequencies& frequencies, const Complex* values, const double* weights)
    : f_(frequencies), circles_{Circle(f_.height), Circle(f_.width)} {
  values_.reserve(static_cast<std::size_t>(f_.size()));
  for (Index i = 0; i < f_.size(); ++i) values_.push_back(values[i] * weights[i % f_.columns()]);
}

Complex Band::at(Index ky, Index kx) const {
  return values_[static_cast<std::size_t>((ky < 0 ? f_.rows() + ky : ky) * f_.columns() + kx)];
}

void Band::lines(const Window& window, double factor, Index pitch, double* out) const {
  // twice the middle of the window, in half pixels
  const Index middle[2] = {2 * window.low[0] + (window.size[0] - 1) * window.step[0], 2 * window.low[1] + (window.size[1] - 1) * window.step[1]};
  for (Index kx = 0; kx <= f_.band[1]; ++kx) {
    const Complex along = circles_[1].wave(kx, middle[1]);
    const auto moved = [&](Index ky) { return times(times(factor * at(ky, kx), along), circles_[0].wave(ky, middle[0])); };
    const auto put = [&](Index line, const Complex& z) {
      out[line * pitch + 2 * kx] = z.real();
      out[line * pitch + 2 * kx + 1] = z.imag();
    };
    put(0, moved(0));
    for (Index ky = 1; ky <= f_.band[0]; ++ky) {
      const Complex above = moved(ky), below = moved(-ky);
      put(2 * ky - 1, above + below);
      put(2 * ky, {below.imag() - above.imag(), above.real() - below.real()});
    }
  }
}

void Band::weights(const Window& window, double* out) const {
  for (Index y = 0; y < window.size[0]; ++y) {
    *out++ = 1;
    const Index once = circles_[0].index(1, (2 * y - (window.size[0] - 1)) * window.step[0]);
    for (Index k = 1, at = once; k <= f_.band[0]; ++k, at = circles_[0].further(at, once)) {
      *out++ = circles_[0].cosine(at);
      *out++ = circles_[0].sine(at);
    }
  }
}

std::vector<double> Band::sums(const Window& window, int axis) const {
  const int other = 1 - axis;
  const auto across = [&](Index k) { return circles_[other].sum(k, window.low[static_cast<std::size_t>(other)], window.size[static_cast<std::size_t>(other)]); };
  // one complex number for each frequency k >= 0 along the axis; the sums are real parts of their waves
  std::vector<Complex> line(static_cast<std::size_t>(f_.band[axis] + 1));
  for (Index kx = 0; kx <= f_.band[1]; ++kx) {
    for (Index ky = -f_.band[0]; ky <= f_.band[0]; ++ky) {
      const Complex z = at(ky, kx) * (axis == 0 ? across(kx) : across(ky));
      if (axis == 1) {
        line[static_cast<std::size_t>(kx)] += z;
      } else {
        line[static_cast<std::size_t>(std::abs(ky))] += ky < 0 ? std::conj(z) : z;
      }
    }
  }
  const Circle& circle = circles_[axis];
  std::vector<double> result(static_cast<std::size_t>(window.size[static_cast<std::size_t>(axis)]));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const Index once = circle.index(2, window.low[static_cast<std::size_t>(axis)] + static_cast<Index>(i));
    Index at = 0;
    double sum = 0;
    for (const Complex& z : line) {
      sum += z.real() * circle.cosine(at) - z.imag() * circle.sine(at);
      at = circle.further(at, once);
    }
    result[i] = sum;
  }
  return result;
}

}  // namespace erffast
