// Complex numbers with a power of two.
#pragma once

#include "numbers.cuh"

#include <cfloat>
#include <cstdint>

namespace erffast::cuda {

// (re + i im) * 2**exponent
struct Scaled {
  double re, im;
  int exponent;
};

// The order of these operations is that of the CPU's `times` and `times_conjugate` (vectors.inl), so that products have the same bits.
__device__ inline void times(Scaled& p, double re, double im) {
  const double r = p.im * im, i = p.re * im;
  p.re = fma(p.re, re, -r);
  p.im = fma(p.im, re, i);
}

// p *= re - i im
__device__ inline void times_conjugate(Scaled& p, double re, double im) {
  const double r = p.im * im, i = p.re * im;
  p.re = fma(p.re, re, r);
  p.im = fma(p.im, re, -i);
}

// Brings the larger component to [1, 2); zeros stay.
__device__ inline void normalise(Scaled& p) {
  int e = 1;
  const double largest = fmax(fabs(p.re), fabs(p.im));
  if (largest < DBL_MIN) {
    p.re = p.im = 0;
  } else {
    frexp(largest, &e);
    const double scale = ldexp(1.0, 1 - e);
    p.re *= scale;
    p.im *= scale;
  }
  p.exponent += e - 1;
}

// The sum of a warp, in all its lanes, always in the same order.
__device__ inline double warp_sum(double x) {
  for (int step = warp_lanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(all_lanes, x, step);
  return x;
}

}  // namespace erffast::cuda
