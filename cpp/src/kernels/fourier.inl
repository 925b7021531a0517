// Inverse Fourier transforms of several lines at a time, one to each lane of a vector: no line ever meets another, so its bits depend
// on nothing but its own numbers, and all instruction sets with fused multiply-add give the same ones (vectors.inl).
//
// Passes of Stockham's kind between two buffers, which bring the result into order by themselves (Van Loan 1992, section 1.7):
// complex numbers stand as a vector of real parts and one of imaginary parts. Radix 4 and 2 written out, odd ones by sums and
// differences of opposite elements.
#pragma once

#include "erffast/spectral_kernels.hpp"
#include "vectors.inl"

namespace erffast {
namespace {

inline Product get(const double* p) { return {load(p), load(p + lanes)}; }
inline void put(double* p, const Product& z) {
  store(p, z.re);
  store(p + lanes, z.im);
}
inline Product operator+(const Product& a, const Product& b) { return {a.re + b.re, a.im + b.im}; }
inline Product operator-(const Product& a, const Product& b) { return {a.re - b.re, a.im - b.im}; }
inline Product quarter_turn(const Product& z) { return {-z.im, z.re}; }

template <int Radix>
struct Butterfly;

template <>
struct Butterfly<2> {
  static void sums(const Product (&x)[2], const double*, Product (&y)[2]) {
    y[0] = x[0] + x[1];
    y[1] = x[0] - x[1];
  }
};

template <>
struct Butterfly<4> {
  static void sums(const Product (&x)[4], const double*, Product (&y)[4]) {
    const Product a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = quarter_turn(x[1] - x[3]);
    y[0] = a + c;
    y[1] = b + d;
    y[2] = a - c;
    y[3] = b - d;
  }
};

// x_i and x_(Radix - i) meet the same cosines and opposite sines.
template <int Radix>
struct Butterfly {
  static void sums(const Product (&x)[Radix], const double* roots, Product (&y)[Radix]) {
    constexpr int half = Radix / 2;
    Product even[half + 1], odd[half + 1];
    y[0] = x[0];
#pragma GCC unroll 8
    for (int i = 1; i <= half; ++i) {
      even[i] = x[i] + x[Radix - i];
      odd[i] = quarter_turn(x[i] - x[Radix - i]);
      y[0] = y[0] + even[i];
    }
#pragma GCC unroll 8
    for (int k = 1; k <= half; ++k) {
      Product c = x[0], s = {rounded(all(roots[2 * k + 1]) * odd[1].re), rounded(all(roots[2 * k + 1]) * odd[1].im)};
#pragma GCC unroll 8
      for (int i = 1; i <= half; ++i) {
        const V cosine = all(roots[2 * (i * k % Radix)]), sine = all(roots[2 * (i * k % Radix) + 1]);
        c.re += cosine * even[i].re;
        c.im += cosine * even[i].im;
        if (i == 1) continue;
        s.re += sine * odd[i].re;
        s.im += sine * odd[i].im;
      }
      y[k] = c + s;
      y[Radix - k] = c - s;
    }
  }
};

template <int Radix>
void pass(const FourierPass& f, const double* in, double* out) {
  constexpr Index cell = 2 * lanes;
  for (Index j = 0; j < f.q; ++j) {
    const double* turns = f.turns + 2 * j * (Radix - 1);
    for (Index t = 0; t < f.s; ++t) {
      Product x[Radix], y[Radix];
#pragma GCC unroll 8
      for (int i = 0; i < Radix; ++i) x[i] = get(in + cell * (t + f.s * (j + f.q * i)));
      Butterfly<Radix>::sums(x, f.roots, y);
#pragma GCC unroll 8
      for (int k = 0; k < Radix; ++k) {
        if (k > 0 && j > 0) times(y[k], all(turns[2 * k - 2]), all(turns[2 * k - 1]));
        put(out + cell * (t + f.s * (Radix * j + k)), y[k]);
      }
    }
  }
}

// Any radix, by its definition.
void pass_of_any(const FourierPass& f, const double* in, double* out) {
  constexpr Index cell = 2 * lanes;
  for (Index j = 0; j < f.q; ++j) {
    for (Index t = 0; t < f.s; ++t) {
      for (Index k = 0; k < f.radix; ++k) {
        Product y = get(in + cell * (t + f.s * j));
        for (Index i = 1; i < f.radix; ++i) {
          Product x = get(in + cell * (t + f.s * (j + f.q * i)));
          const double* root = f.roots + 2 * (i * k % f.radix);
          times(x, all(root[0]), all(root[1]));
          y = y + x;
        }
        const double* turn = f.turns + 2 * (j * (f.radix - 1) + k - 1);
        if (k > 0 && j > 0) times(y, all(turn[0]), all(turn[1]));
        put(out + cell * (t + f.s * (f.radix * j + k)), y);
      }
    }
  }
}

// From the first buffer of `space`; returns the one that holds the result.
double* transform(const FourierPlan& plan, double* space) {
  double* in = space;
  double* out = space + 2 * lanes * plan.n;
  for (Index i = 0; i < plan.passes; ++i) {
    const FourierPass& f = plan.pass[i];
    switch (f.radix) {
      case 2: pass<2>(f, in, out); break;
      case 3: pass<3>(f, in, out); break;
      case 4: pass<4>(f, in, out); break;
      case 5: pass<5>(f, in, out); break;
      case 7: pass<7>(f, in, out); break;
      default: pass_of_any(f, in, out); break;
    }
    double* const free = in;
    in = out;
    out = free;
  }
  return in;
}

// ------------------------------------------------------------------------------------------------ lines to lanes and back

void transform_columns(double* values, Index pitch, Index count, const FourierPlan& plan, double* space) {
  constexpr Index cell = 2 * lanes;
  for (Index y = 0; y < plan.n; ++y) {
    const double* row = values + y * pitch;
    if (count == lanes) {
      const V low = load(row), high = load(row + lanes);
      put(space + cell * y, {Order::even(low, high), Order::odd(low, high)});
      continue;
    }
    for (Index l = 0; l < lanes; ++l) {
      space[cell * y + l] = l < count ? row[2 * l] : 0;
      space[cell * y + lanes + l] = l < count ? row[2 * l + 1] : 0;
    }
  }
  const double* found = transform(plan, space);
  for (Index y = 0; y < plan.n; ++y) {
    double* row = values + y * pitch;
    const Product z = get(found + cell * y);
    if (count == lanes) {
      store(row, Order::first_half(z.re, z.im));
      store(row + lanes, Order::second_half(z.re, z.im));
      continue;
    }
    for (Index l = 0; l < count; ++l) {
      row[2 * l] = z.re[l];
      row[2 * l + 1] = z.im[l];
    }
  }
}

// The spectrum of a + i b from the half spectra of two real rows a and b, one pair to a lane, at the frequencies [first, last).
void join_some(const double* values, Index pitch, Index count, Index n, Index first, Index last, double* space) {
  constexpr Index cell = 2 * lanes;
  for (Index k = first; k < last; ++k) {
    const bool own = k == 0 || 2 * k == n;  // its own mirror image: real
    for (Index l = 0; l < lanes; ++l) {
      const double* a = values + 2 * l * pitch + 2 * k;
      const double* b = a + pitch;
      const double a_re = 2 * l < count ? a[0] : 0, a_im = 2 * l < count && !own ? a[1] : 0;
      const double b_re = 2 * l + 1 < count ? b[0] : 0, b_im = 2 * l + 1 < count && !own ? b[1] : 0;
      space[cell * k + l] = a_re - b_im;
      space[cell * k + lanes + l] = b_re + a_im;
      if (own) continue;
      space[cell * (n - k) + l] = a_re + b_im;
      space[cell * (n - k) + lanes + l] = b_re - a_im;
    }
  }
}

void join(const double* values, Index pitch, Index count, Index n, double* space) {
  constexpr Index cell = 2 * lanes, at_once = lanes / 2;
  Index k = 1;
  join_some(values, pitch, count, n, 0, k, space);
  for (; count == 2 * lanes && k + at_once <= n / 2; k += at_once) {
    V a[lanes], b[lanes];
    for (Index l = 0; l < lanes; ++l) {
      a[l] = load(values + 2 * l * pitch + 2 * k);
      b[l] = load(values + (2 * l + 1) * pitch + 2 * k);
    }
    Order::transpose(a);
    Order::transpose(b);
    for (Index i = 0; i < at_once; ++i) {
      put(space + cell * (k + i), {a[2 * i] - b[2 * i + 1], b[2 * i] + a[2 * i + 1]});
      put(space + cell * (n - k - i), {a[2 * i] + b[2 * i + 1], b[2 * i] - a[2 * i + 1]});
    }
  }
  join_some(values, pitch, count, n, k, n / 2 + 1, space);
}

// What has been seen of 2 * lanes rows.
struct Seen {
  V largest, squares[2];

  V take(V v, int i) {
    const V size = (V)((I)v & (I{} + 0x7fffffffffffffffLL));
    largest = size > largest ? size : largest;
    squares[i] += v * v;
    return v;
  }
};

double transform_rows(double* values, Index pitch, Index count, double scale, const FourierPlan& plan, double* space, double* energies) {
  constexpr Index cell = 2 * lanes;
  join(values, pitch, count, plan.n, space);
  const double* found = transform(plan, space);
  Seen seen = {};
  Index x = 0;
  for (; x + lanes <= plan.n; x += lanes) {
    for (int i = 0; i < 2; ++i) {
      V m[lanes];
      for (Index l = 0; l < lanes; ++l) m[l] = seen.take(load(found + cell * (x + l) + i * lanes) * all(scale), i);
      Order::transpose(m);
      for (Index l = 0; l < lanes && 2 * l + i < count; ++l) store(values + (2 * l + i) * pitch + x, m[l]);
    }
  }
  for (; x < plan.n; ++x) {
    for (int i = 0; i < 2; ++i) {
      const V v = seen.take(load(found + cell * x + i * lanes) * all(scale), i);
      for (Index l = 0; l < lanes && 2 * l + i < count; ++l) values[(2 * l + i) * pitch + x] = v[l];
    }
  }
  for (Index r = 0; r < count; ++r) energies[r] = seen.squares[r % 2][r / 2];
  double most = 0;
  for (Index l = 0; l < lanes; ++l) most = seen.largest[l] > most ? seen.largest[l] : most;
  return most;
}

}  // namespace
}  // namespace erffast
