// Inner loops of the band-limited engine, included by one small file per instruction set.
//
// Compiled with -ffp-contract=fast. As in spectral.inl every contraction has one form only, and every lane is a sum of its own in a
// fixed order, so all instruction sets with fused multiply-add give the same bits.

#include "erffast/band_kernels.hpp"

#include <cstring>

#include "vectors.inl"

namespace erffast {
namespace {

inline I load(const std::int64_t* p) { return *reinterpret_cast<const I*>(p); }
inline void store(std::int64_t* p, I v) { *reinterpret_cast<I*>(p) = v; }
inline V larger(V a, V b) { return a > b ? a : b; }
inline V smaller(V a, V b) { return a < b ? a : b; }

// ------------------------------------------------------------------------------------------------ the product

struct Sum {
  V re, im;
};

// Columns [first, first + W) of a kernel: sums over its rows.
template <int W>
inline void add_rows(const double* taps, Index height, Index width, const double* cosines, const double* sines, Sum* out) {
  Sum sums[W] = {};
  for (Index a = 0; a < height; ++a, taps += width) {
    const V cosine = load(cosines + a * lanes), sine = load(sines + a * lanes);
#pragma GCC unroll 8
    for (int b = 0; b < W; ++b) {
      const V w = all(taps[b]);
      sums[b].re += w * cosine;
      sums[b].im += w * sine;
    }
  }
  for (int b = 0; b < W; ++b) out[b] = sums[b];
}

inline void write_pair(const Sum& right, const Sum& left, double* out) {
  store(out, right.re + left.re);
  store(out + lanes, right.im + left.im);
  store(out + 2 * lanes, right.im - left.im);
  store(out + 3 * lanes, right.re - left.re);
}

template <int W>
void compose_narrow(const double* taps, Index height, const double* cosines, const double* sines, double* out) {
  constexpr int middle = (W - 1) / 2;
  Sum c[W];
  add_rows<W>(taps, height, W, cosines, sines, c);
  store(out, c[middle].re);
  store(out + lanes, c[middle].im);
  // even sides reach further right
#pragma GCC unroll 4
  for (int j = 1; j <= W / 2; ++j) write_pair(c[middle + j], j <= middle ? c[middle - j] : Sum{}, out + (4 * j - 2) * lanes);
}

void compose_wide(const double* taps, Index height, Index width, const double* cosines, const double* sines, double* out) {
  const Index middle = (width - 1) / 2;
  Sum right, left;
  add_rows<1>(taps + middle, height, width, cosines, sines, &right);
  store(out, right.re);
  store(out + lanes, right.im);
  for (Index j = 1; j <= width / 2; ++j) {
    left = Sum{};
    add_rows<1>(taps + middle + j, height, width, cosines, sines, &right);
    if (j <= middle) add_rows<1>(taps + middle - j, height, width, cosines, sines, &left);
    write_pair(right, left, out + (4 * j - 2) * lanes);
  }
}

void compose(const double* taps, Index height, Index width, const double* cosines, const double* sines, double* out) {
  switch (width) {
    case 1: return compose_narrow<1>(taps, height, cosines, sines, out);
    case 2: return compose_narrow<2>(taps, height, cosines, sines, out);
    case 3: return compose_narrow<3>(taps, height, cosines, sines, out);
    case 5: return compose_narrow<5>(taps, height, cosines, sines, out);
    case 7: return compose_narrow<7>(taps, height, cosines, sines, out);
    default: return compose_wide(taps, height, width, cosines, sines, out);
  }
}

// One column of frequencies (u, v) and (-u, v). Of the four real sums
//   x = re(c_j + c_-j) cos,  z = im(c_j + c_-j) cos,  y = im(c_j - c_-j) sin,  w = re(c_j - c_-j) sin
// come the transfer functions (x + y) + i (z - w) at v and, taps being real, (x - y) - i (z + w) at -u.
template <int H>
inline void multiply_column(const double* c, Index n, Index half, const double* cosines, const double* sines, double* products,
                            std::int64_t* exponents) {
  V re = load(products), im = load(products + lanes), below_re = load(products + 2 * lanes), below_im = load(products + 3 * lanes);
  const Index terms = H >= 0 ? H : half;
  for (Index layer = 0; layer < n; ++layer) {
    V x = load(c), z = load(c + lanes), y = {}, w = {};
    c += 2 * lanes;
#pragma GCC unroll 4
    for (Index j = 0; j < terms; ++j, c += 4 * lanes) {
      const V cosine = all(cosines[j]), sine = all(sines[j]);
      x += load(c) * cosine;
      z += load(c + lanes) * cosine;
      y += load(c + 2 * lanes) * sine;
      w += load(c + 3 * lanes) * sine;
    }
    const V up = x + y, down = x - y, imaginary = z - w, minus = z + w;
    V r = rounded(im * imaginary);
    r = re * up - r;
    V i = rounded(im * up);
    i += re * imaginary;
    re = r;
    im = i;
    r = rounded(below_im * minus);
    r += below_re * down;
    i = rounded(below_re * minus);
    i = below_im * down - i;
    below_re = r;
    below_im = i;
  }
  const I above = normalise(re, im), below = normalise(below_re, below_im);
  store(products, re);
  store(products + lanes, im);
  store(products + 2 * lanes, below_re);
  store(products + 3 * lanes, below_im);
  store(exponents, load(exponents) + above);
  store(exponents + lanes, load(exponents + lanes) + below);
}

template <int H>
void multiply_columns(const double* c, Index n, Index half, const double* cosines, const double* sines, Index columns, double* products,
                      std::int64_t* exponents) {
  for (Index v = 0; v < columns; ++v) {
    multiply_column<H>(c, n, half, cosines + v * half, sines + v * half, products + v * 4 * lanes, exponents + v * 2 * lanes);
  }
}

void multiply(const double* c, Index n, Index half, const double* cosines, const double* sines, Index columns, double* products,
              std::int64_t* exponents) {
  const auto go = half == 0   ? multiply_columns<0>
                  : half == 1 ? multiply_columns<1>
                  : half == 2 ? multiply_columns<2>
                  : half == 3 ? multiply_columns<3>
                              : multiply_columns<-1>;
  go(c, n, half, cosines, sines, columns, products, exponents);
}

// ------------------------------------------------------------------------------------------------ pixels

constexpr int most_rows = ERFFAST_BAND_ROWS, across = 2;

template <int Rows>
void mirrored_rows(const double* z, Index n, const double* waves, double* left, double* right, Index pitch, double* extremes) {
  V even[Rows][across] = {}, odd[Rows][across] = {};
  for (Index k = 0; k < n; ++k, waves += 2 * across * lanes) {
    V wave[2 * across];
#pragma GCC unroll 4
    for (int u = 0; u < 2 * across; ++u) wave[u] = load(waves + u * lanes);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const V a = all(z[(i * n + k) * 2]), b = all(z[(i * n + k) * 2 + 1]);
#pragma GCC unroll 2
      for (int u = 0; u < across; ++u) {
        even[i][u] += a * wave[u];
        odd[i][u] += b * wave[across + u];
      }
    }
  }
  V largest = load(extremes), smallest = load(extremes + lanes);
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int u = 0; u < across; ++u) {
      const V a = even[i][u] + odd[i][u], b = even[i][u] - odd[i][u];
      largest = larger(largest, larger(a, b));
      smallest = smaller(smallest, smaller(a, b));
      store(left + i * pitch + u * lanes, larger(a, V{}));
      store(right + i * pitch - (u + 1) * lanes + 1, Order::reversed(larger(b, V{})));
    }
  }
  store(extremes, largest);
  store(extremes + lanes, smallest);
}

void mirrored(const double* z, Index rows, Index n, const double* waves, double* left, double* right, Index pitch, double* extremes) {
  Index i = 0;
  for (; i + most_rows <= rows; i += most_rows) mirrored_rows<most_rows>(z + 2 * i * n, n, waves, left + i * pitch, right + i * pitch, pitch, extremes);
  for (; i < rows; ++i) mirrored_rows<1>(z + 2 * i * n, n, waves, left + i * pitch, right + i * pitch, pitch, extremes);
}

// ------------------------------------------------------------------------------------------------ steps

constexpr Index together = 8;

// C > 0: that many columns, with one accumulator in a register for each lag.
template <int C>
void correlate_rows(const double* m, Index rows, double* lags) {
  for (Index below = 0; below < rows; ++below) {
    V found[2 * C - 1];
    for (int j = 0; j < 2 * C - 1; ++j) found[j] = load(lags + (below * (2 * C - 1) + j) * together);
    for (Index a = 0; a + below < rows; ++a) {
      const double *p = m + a * C * together, *q = m + (a + below) * C * together;
#pragma GCC unroll 8
      for (int b = 0; b < C; ++b) {
#pragma GCC unroll 8
        for (int d = 0; d < C; ++d) found[d - b + C - 1] += load(p + b * together) * load(q + d * together);
      }
    }
    for (int j = 0; j < 2 * C - 1; ++j) store(lags + (below * (2 * C - 1) + j) * together, found[j]);
  }
}

void correlate_any(const double* m, Index rows, Index columns, double* lags) {
  for (Index below = 0; below < rows; ++below) {
    double* found = lags + (below * (2 * columns - 1) + columns - 1) * together;
    for (Index a = 0; a + below < rows; ++a) {
      const double *p = m + a * columns * together, *q = m + (a + below) * columns * together;
      for (Index b = 0; b < columns; ++b) {
        for (Index d = 0; d < columns; ++d) {
          double* sum = found + (d - b) * together;
          V s = load(sum);
          s += load(p + b * together) * load(q + d * together);
          store(sum, s);
        }
      }
    }
  }
}

void correlate(double* taps, Index rows, Index columns, double* lags) {
  for (Index l = 0; l < together; l += lanes) {
    double *m = taps + l, *r = lags + l;
    V total = {};
    for (Index i = 0; i < rows * columns; ++i) total += load(m + i * together);
    const V share = 1.0 / total;
    for (Index i = 0; i < rows * columns; ++i) store(m + i * together, load(m + i * together) * share);
    switch (columns) {
      case 3: correlate_rows<3>(m, rows, r); break;
      case 5: correlate_rows<5>(m, rows, r); break;
      case 7: correlate_rows<7>(m, rows, r); break;
      default: correlate_any(m, rows, columns, r); break;
    }
  }
}

void tilt(const double* masses, Index side, Index pitch, Index n, const double* factors, double least, double* product,
          std::int64_t* exponents) {
  for (Index l = 0; l < together; l += lanes) {
    V p = load(product + l), unused = {};
    I e = load(exponents + l);
    for (Index i = l; i < n; i += together) {
      V sum = {};
      for (Index j = 0; j < side; ++j) sum += all(factors[j]) * load(masses + j * pitch + i);
      p *= larger(sum, all(least));
      e += normalise(p, unused);
    }
    store(product + l, p);
    store(exponents + l, e);
  }
}

}  // namespace

extern const BandKernels ERFFAST_BAND;
const BandKernels ERFFAST_BAND = {lanes, compose, multiply, across * lanes, mirrored, correlate, tilt};

}  // namespace erffast
