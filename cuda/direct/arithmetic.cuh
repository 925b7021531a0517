// Sums as the CPU's engine makes them: one fused multiply-add after the other, in the order of the taps.
#pragma once

#include "numbers.cuh"
#include "frame.hpp"

namespace erffast::cuda {

inline constexpr int rows_at_a_time = 7;  // kernel rows that the CPU's tiles take at once: part of the order of a sum

__device__ inline float multiply_add(float sum, float weight, float value) { return fmaf(weight, value, sum); }
__device__ inline double multiply_add(double sum, double weight, double value) { return fma(weight, value, sum); }

// A pixel of `parts` numbers. Two parts: double-double arithmetic as in erffast/double_double.hpp, operation by operation.
template <class T, int parts>
struct Sum;

template <class T>
struct Sum<T, 1> {
  T value = 0;
  __device__ void add(T weight, const T* pixel, Index) { value = multiply_add(value, weight, *pixel); }
  __device__ void store(T* pixel, Index, Power<T> scale) const { *pixel = value * scale.first * scale.second; }
};

template <>
struct Sum<double, 2> {
  double hi = 0, lo = 0;

  __device__ void add(double weight, const double* pixel, Index per_part) {
    const double value = pixel[0], low = pixel[per_part];
    const double p = weight * value, error = fma(weight, low, fma(weight, value, -p));
    const double s = hi + p, t = s - hi;
    const double rest = ((hi - (s - t)) + (p - t)) + (lo + error);
    hi = s + rest;
    lo = rest - (hi - s);
  }
  __device__ void store(double* pixel, Index per_part, Power<double> scale) const {
    pixel[0] = hi * scale.first * scale.second;
    pixel[per_part] = lo * scale.first * scale.second;
  }
};

__device__ inline unsigned long long magnitude_bits(double v) { return static_cast<unsigned long long>(__double_as_longlong(fabs(v))); }

// The largest and the rectangle of what is not zero, of one thread.
struct Seen {
  double peak = 0;
  Index bottom = 0, right = 0, top = 0, left = 0;

  __device__ void look(double value, Index y, Index x, const Rect& rect) {
    const double size = fabs(value);
    if (!(size > 0) && size == size) return;
    peak = size > peak || size != size ? size : peak;  // a NaN is kept: the host refuses it
    bottom = max(bottom, y + 1);
    right = max(right, x + 1);
    top = max(top, rect.height - y);
    left = max(left, rect.width - x);
  }

  // By one of the threads of a warp, for all of them; all take part.
  __device__ void add_to(Measure* measure) {
    unsigned long long all[5] = {magnitude_bits(peak), static_cast<unsigned long long>(bottom), static_cast<unsigned long long>(right),
                                 static_cast<unsigned long long>(top), static_cast<unsigned long long>(left)};
    for (unsigned long long& n : all) n = warp_largest(n);
    if (threadIdx.x % warp_lanes != 0 || all[0] == 0) return;
    atomicMax(&measure->peak, all[0]);
    atomicMax(&measure->bottom, all[1]);
    atomicMax(&measure->right, all[2]);
    atomicMax(&measure->top, all[3]);
    atomicMax(&measure->left, all[4]);
  }
};

}  // namespace erffast::cuda
