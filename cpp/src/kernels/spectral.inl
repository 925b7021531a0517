// Inner loops of the spectral product, included by one small file per instruction set.
//
// A row of taps c[-h..h] evaluates to  c0 + sum_j (c_j + c_-j) cos jv - i (c_j - c_-j) sin jv  with *real* cosines and sines.
// Of the four real sums
//   X = re(c_j + c_-j) cos,  Z = im(c_j + c_-j) cos,  Y = im(c_j - c_-j) sin,  W = re(c_j - c_-j) sin
// come w(u, v) = (X + Y) + i (Z - W) and, since the taps are real, w(-u, v) = (X - Y) - i (Z + W). Kept apart for even and odd
// j they also give (u, pi - v) and (-u, pi - v): there odd cosines and even sines change sign. Four frequencies for one set of
// sums: 16 multiply-adds for four rows of three taps combined, 16 additions, 16 multiplications of the products: 3
// instructions per frequency and layer, instead of 8.
//
// Compiled with -ffp-contract=fast. Every contraction has one form only: each statement `a += b * c` holds one product, and a
// product that must not be fused the other way is kept apart by `rounded`; so all instruction sets with fused multiply-add
// give the same bits.

#include "erffast/spectral_kernels.hpp"

#include <cstring>
#include <limits>

#include "vectors.inl"

namespace erffast {
namespace {

// The four real sums, even and odd j apart.
struct Sums {
  V x[2], y[2], z[2], w[2];
};

inline void add(Sums& s, int parity, const double* c, V cosine, V sine) {
  s.x[parity] += all(c[0]) * cosine;
  s.z[parity] += all(c[1]) * cosine;
  s.y[parity] += all(c[2]) * sine;
  s.w[parity] += all(c[3]) * sine;
}

// H >= 0: that many terms, unrolled, the first of each sum a product of its own; -1: `half` of them.
template <int H>
inline Sums evaluate(const double* c, Index half, const double* cosines, const double* sines) {
  Sums s = {{all(c[0]), V{}}, {V{}, V{}}, {all(c[1]), V{}}, {V{}, V{}}};
  const auto cosine = [&](Index j) { return load(cosines + (j - 1) * lanes); };
  const auto sine = [&](Index j) { return load(sines + (j - 1) * lanes); };
  c += 2;
  if constexpr (H >= 1) {
    s.x[1] = rounded(all(c[0]) * cosine(1));
    s.z[1] = rounded(all(c[1]) * cosine(1));
    s.y[1] = rounded(all(c[2]) * sine(1));
    s.w[1] = rounded(all(c[3]) * sine(1));
  }
  if constexpr (H >= 2) {
    s.x[0] += all(c[4]) * cosine(2);
    s.z[0] += all(c[5]) * cosine(2);
    s.y[0] = rounded(all(c[6]) * sine(2));
    s.w[0] = rounded(all(c[7]) * sine(2));
  }
  if constexpr (H >= 0) {
#pragma GCC unroll 8
    for (int j = 3; j <= H; ++j) add(s, j & 1, c + 4 * (j - 1), cosine(j), sine(j));
  } else {
    for (Index j = 1; j <= half; j += 2) add(s, 1, c + 4 * (j - 1), cosine(j), sine(j));
    for (Index j = 2; j <= half; j += 2) add(s, 0, c + 4 * (j - 1), cosine(j), sine(j));
  }
  return s;
}

template <int H, bool Mirrored, bool Paired>
inline const double* run(const double* c, Index n_groups, Index half, const double* cosines, const double* sines, Product (&p)[4]) {
  const Index size = 2 + 4 * half;
  for (Index g = 0; g < n_groups; ++g, c += size) {
    const Sums s = evaluate<H>(c, half, cosines, sines);
    {
      const V x = s.x[0] + s.x[1], y = s.y[0] + s.y[1], z = s.z[0] + s.z[1], w = s.w[0] + s.w[1];
      times(p[0], x + y, z - w);
      if constexpr (Paired) times_conjugate(p[1], x - y, z + w);
    }
    if constexpr (Mirrored) {
      const V x = s.x[0] - s.x[1], y = s.y[1] - s.y[0], z = s.z[0] - s.z[1], w = s.w[1] - s.w[0];
      times(p[2], x + y, z - w);
      if constexpr (Paired) times_conjugate(p[3], x - y, z + w);
    }
  }
  return c;
}

template <bool Mirrored, bool Paired>
void multiply_row(const double* coefficients, const Group* groups, Index n_groups, const double* cosines, const double* sines,
                  Index table_half, Index vectors, bool first, const RowState& state) {
  const auto used = [](int q) { return (Mirrored || q < 2) && (Paired || q % 2 == 0); };
  for (Index b = 0; b < vectors; ++b) {
    Product p[4] = {};
    I exponent[4] = {};
    for (int q = 0; q < 4; ++q) {
      if (!used(q)) continue;
      if (first) {
        p[q].re = all(1.0);
      } else {
        p[q] = {load(state.re[q] + b * lanes), load(state.im[q] + b * lanes)};
        std::memcpy(&exponent[q], state.exponent[q] + b * lanes, sizeof(I));
      }
    }
    const double* cx = cosines + b * table_half * lanes;
    const double* sx = sines + b * table_half * lanes;
    const double* c = coefficients;
    for (Index g = 0; g < n_groups;) {
      const Index n = groups[g].equal < n_groups - g ? groups[g].equal : n_groups - g;
      const Index half = groups[g].half;
      switch (half) {
        case 0: c = run<0, Mirrored, Paired>(c, n, 0, cx, sx, p); break;
        case 1: c = run<1, Mirrored, Paired>(c, n, 1, cx, sx, p); break;
        case 2: c = run<2, Mirrored, Paired>(c, n, 2, cx, sx, p); break;
        case 3: c = run<3, Mirrored, Paired>(c, n, 3, cx, sx, p); break;
        case 4: c = run<4, Mirrored, Paired>(c, n, 4, cx, sx, p); break;
        case 6: c = run<6, Mirrored, Paired>(c, n, 6, cx, sx, p); break;
        case 8: c = run<8, Mirrored, Paired>(c, n, 8, cx, sx, p); break;
        default: c = run<-1, Mirrored, Paired>(c, n, half, cx, sx, p); break;
      }
      g += n;
      if (groups[g - 1].renormalise || g == n_groups) {
        for (int q = 0; q < 4; ++q) {
          if (used(q)) exponent[q] += normalise(p[q].re, p[q].im);
        }
      }
    }
    for (int q = 0; q < 4; ++q) {
      if (!used(q)) continue;
      store(state.re[q] + b * lanes, p[q].re);
      store(state.im[q] + b * lanes, p[q].im);
      std::memcpy(state.exponent[q] + b * lanes, &exponent[q], sizeof(I));
    }
  }
}

void multiply(const double* coefficients, const Group* groups, Index n_groups, const double* cosines, const double* sines,
              Index table_half, Index vectors, bool mirrored, bool paired, bool first, const RowState& state) {
  const auto go = mirrored ? (paired ? multiply_row<true, true> : multiply_row<true, false>)
                           : (paired ? multiply_row<false, true> : multiply_row<false, false>);
  go(coefficients, groups, n_groups, cosines, sines, table_half, vectors, first, state);
}

// ------------------------------------------------------------------------------------------------ results

Index write_row(const double* re, const double* im, const std::int64_t* exponents, Index n, bool backward, double* values,
                std::int32_t* powers) {
  constexpr Index none = std::numeric_limits<Index>::min();
  I top = I{} + none;
  Index v = 0;
  for (; v + lanes <= n; v += lanes) {
    V a = load(re + v), b = load(im + v);
    I e;
    std::memcpy(&e, exponents + v, sizeof(I));
    const I seen = ((a != V{}) | (b != V{})) != 0 ? e : I{} + none;
    top = seen > top ? seen : top;
    if (backward) {
      a = Order::reversed(a);
      b = Order::reversed(b);
      e = Order::reversed(e);
    }
    const Index at = backward ? -v - (lanes - 1) : v;
    store(values + 2 * at, Order::first_half(a, b));
    store(values + 2 * at + lanes, Order::second_half(a, b));
    const auto narrow = __builtin_convertvector(e, Order::I32);
    std::memcpy(powers + at, &narrow, sizeof(narrow));
  }
  Index largest = none;
  for (Index l = 0; l < lanes; ++l) largest = top[l] > largest ? top[l] : largest;
  for (; v < n; ++v) {
    const Index at = backward ? -v : v;
    values[2 * at] = re[v];
    values[2 * at + 1] = im[v];
    powers[at] = static_cast<std::int32_t>(exponents[v]);
    if ((re[v] != 0 || im[v] != 0) && exponents[v] > largest) largest = exponents[v];
  }
  return largest;
}

// 2**(power - shift), or zero where that is no normal number.
inline V power_of_two(Order::I32 powers, Index shift) {
  I e = __builtin_convertvector(powers, I) - shift + 1023;
  e = e < 1 ? I{} : e > 2046 ? I{} + 2046 : e;
  return (V)(e << 52);
}

void scale_row(double* values, const std::int32_t* powers, Index n, Index shift) {
  Index v = 0;
  for (; v + lanes <= n; v += lanes) {
    const V factor = power_of_two(*reinterpret_cast<const Order::I32*>(powers + v), shift);
    store(values + 2 * v, load(values + 2 * v) * Order::first_half(factor, factor));
    store(values + 2 * v + lanes, load(values + 2 * v + lanes) * Order::second_half(factor, factor));
  }
  if (v == n) return;
  Order::I32 last = {};
  for (Index l = 0; v + l < n; ++l) last[l] = powers[v + l];
  const V factor = power_of_two(last, shift);
  for (Index l = 0; v + l < n; ++l) {
    values[2 * (v + l)] *= factor[l];
    values[2 * (v + l) + 1] *= factor[l];
  }
}

// ------------------------------------------------------------------------------------------------ coefficients

struct Tap {
  V re, im;
};

// The row of one layer at column b: the sum over its kernel rows.
inline Tap row_tap(const Folded& layer, Index b, const double* cosines, const double* sines) {
  const Index width = 2 * layer.half_x + 1;
  Tap t = {all(layer.even[b]), V{}};
  for (Index y = 1; y <= layer.half_y; ++y) {
    t.re += all(layer.even[y * width + b]) * load(cosines + y * lanes);
    t.im += all(layer.odd[y * width + b]) * load(sines + y * lanes);
  }
  return t;
}

// A row of taps c[-half .. half] as coefficients, one lane to each table.
void write_taps(const Tap* c, Index half, double* const* out) {
  constexpr Index most = 2 + 4 * Group::largest_half + lanes;
  V coefficients[most] = {c[half].re, c[half].im};
  for (Index j = 1; j <= half; ++j) {
    const Tap &right = c[half + j], &left = c[half - j];
    V* const o = coefficients + 4 * j - 2;
    o[0] = right.re + left.re;
    o[1] = right.im + left.im;
    o[2] = right.im - left.im;
    o[3] = right.re - left.re;
  }
  const Index size = 2 + 4 * half;
  Index i = 0;
  for (; i + lanes <= size; i += lanes) {
    V m[lanes];
    for (Index l = 0; l < lanes; ++l) m[l] = coefficients[i + l];
    Order::transpose(m);
    for (Index l = 0; l < lanes; ++l) store(out[l] + i, m[l]);
  }
  for (; i < size; ++i) {
    for (Index l = 0; l < lanes; ++l) out[l][i] = coefficients[i][l];
  }
}

// The row of a single layer, however wide.
void compose_one(const Folded& layer, const double* cosines, const double* sines, double* const* out) {
  const Index half = layer.half_x;
  const Tap middle = row_tap(layer, half, cosines, sines);
  for (Index l = 0; l < lanes; ++l) {
    out[l][0] = middle.re[l];
    out[l][1] = middle.im[l];
  }
  for (Index j = 1; j <= half; ++j) {
    const Tap right = row_tap(layer, half + j, cosines, sines), left = row_tap(layer, half - j, cosines, sines);
    const V a = right.re + left.re, b = right.im + left.im, c = right.im - left.im, d = right.re - left.re;
    for (Index l = 0; l < lanes; ++l) {
      double* const o = out[l] + 4 * j - 2;
      o[0] = a[l];
      o[1] = b[l];
      o[2] = c[l];
      o[3] = d[l];
    }
  }
}

// c[0 .. n) becomes the row of n + width - 1 taps that it and t make, from the last on: in place.
inline void convolve(Tap* c, Index n, const Tap* t, Index width) {
  for (Index i = n + width - 2; i >= 0; --i) {
    Tap sum = {};
    for (Index b = i < n ? 0 : i - n + 1; b < width && b <= i; ++b) {
      const Tap u = c[i - b];
      sum.re += u.re * t[b].re;
      sum.re -= u.im * t[b].im;
      sum.im += u.re * t[b].im;
      sum.im += u.im * t[b].re;
    }
    c[i] = sum;
  }
}

// Width > 0: all layers have that many columns, and as many taps are known to the compiler.
template <Index Width, Index... Taps>
void compose_equal(const Folded* layers, Index n_layers, const double* cosines, const double* sines, double* const* out) {
  Tap c[2 * Group::largest_half + 1], t[Width];
  for (Index b = 0; b < Width; ++b) c[b] = row_tap(layers[0], b, cosines, sines);
  Index p = 1;
  const auto next = [&]<Index N>() {
    if (p == n_layers) return;
    for (Index b = 0; b < Width; ++b) t[b] = row_tap(layers[p], b, cosines, sines);
    convolve(c, N, t, Width);
    ++p;
  };
  (next.template operator()<Taps>(), ...);
  write_taps(c, n_layers * (Width / 2), out);
}

void compose_mixed(const Folded* layers, Index n_layers, Index half, const double* cosines, const double* sines, double* const* out) {
  constexpr Index most = 2 * Group::largest_half + 1;
  Tap c[most], t[most];
  Index n = 1;
  for (Index p = 0; p < n_layers; ++p) {
    const Index width = 2 * layers[p].half_x + 1;
    Tap* const row = p == 0 ? c : t;
    for (Index b = 0; b < width; ++b) row[b] = row_tap(layers[p], b, cosines, sines);
    if (p > 0) convolve(c, n, t, width);
    n += width - 1;
  }
  write_taps(c, half, out);
}

void compose(const Folded* layers, Index n_layers, Index half, const double* cosines, const double* sines, double* const* out) {
  if (n_layers == 1) return compose_one(layers[0], cosines, sines, out);
  bool threes = n_layers <= 4;
  for (Index p = 0; p < n_layers; ++p) threes = threes && layers[p].half_x == 1;
  if (threes) return compose_equal<3, 3, 5, 7>(layers, n_layers, cosines, sines, out);
  compose_mixed(layers, n_layers, half, cosines, sines, out);
}

}  // namespace

extern const SpectralKernels ERFFAST_SPECTRAL;
const SpectralKernels ERFFAST_SPECTRAL = {lanes, compose, multiply, write_row, scale_row};

}  // namespace erffast
