// Double-double arithmetic as in erffast/double_double.hpp and exact.inl, operation by operation, so that results are the CPU's.
#pragma once

#include "spectral/scaled.cuh"

namespace erffast::cuda {

struct Exact {
  double hi, lo;
};

// re + i im, and the power of two taken out.
struct ExactScaled {
  Exact re, im;
  Index exponent;
};

__device__ inline Exact quick_two_sum(double a, double b) {
  const double s = a + b;
  return {s, b - (s - a)};
}

__device__ inline Exact two_sum(double a, double b) {
  const double s = a + b, t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

__device__ inline Exact operator+(Exact a, Exact b) {
  const Exact s = two_sum(a.hi, b.hi);
  return quick_two_sum(s.hi, s.lo + (a.lo + b.lo));
}

__device__ inline Exact operator-(Exact a, Exact b) { return a + Exact{-b.hi, -b.lo}; }

__device__ inline Exact operator*(Exact a, Exact b) {
  const double p = a.hi * b.hi, rest = fma(a.hi, b.hi, -p);
  return quick_two_sum(p, rest + fma(a.hi, b.lo, a.lo * b.hi));
}

// sum + weight * value
__device__ inline Exact multiply_add(Exact sum, double weight, Exact value) {
  const double p = weight * value.hi, rest = fma(weight, value.hi, -p);
  const Exact s = two_sum(sum.hi, p);
  return quick_two_sum(s.hi, s.lo + (sum.lo + fma(weight, value.lo, rest)));
}

__device__ inline void multiply(ExactScaled& a, const ExactScaled& b) {
  const Exact re = a.re * b.re - a.im * b.im, im = a.re * b.im + a.im * b.re;
  a.re = re;
  a.im = im;
  a.exponent += b.exponent;
}

// Brings the larger high part to [1, 2); zeros stay.
__device__ inline void normalise(ExactScaled& a) {
  const double largest = fmax(fabs(a.re.hi), fabs(a.im.hi));
  if (largest < DBL_MIN) return;
  int e;
  frexp(largest, &e);
  const double scale = ldexp(1.0, 1 - e);
  a.re = {a.re.hi * scale, a.re.lo * scale};
  a.im = {a.im.hi * scale, a.im.lo * scale};
  a.exponent += e - 1;
}

}  // namespace erffast::cuda
