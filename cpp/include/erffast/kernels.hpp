// The inner loops, compiled once per instruction set and reached through one table chosen at load.
#pragma once

#include <cstdint>

#include "erffast/band_kernels.hpp"
#include "erffast/profile_kernels.hpp"
#include "erffast/random_kernels.hpp"
#include "erffast/spectral_kernels.hpp"
#include "erffast/step.hpp"

namespace erffast {

template <class T>
struct Tap {
  const T* source;  // first pixel that this tap reads
  T weight;
};

inline constexpr Index rows_at_once = 8;       // rows that `rows` computes at once
inline constexpr Index most_kernel_rows = 7;       // most kernel rows it takes
// From row to row where `rows` knows the distance in advance, and needs no instructions to find its way: 261 lines of 64 bytes. An
// odd number, because rows that start in one set of the cache would displace one another.
template <class T>
inline constexpr Index block_pitch = 261 * 64 / static_cast<Index>(sizeof(T));

// What eight rows of sums read, one entry for each channel that counts.
template <class T>
struct Source {
  const T* in;     // first pixel of the eight rows
  const T* above;  // the same column in the first of the kernel's rows - 1 rows before them
  const T* taps;   // [kernel rows, columns]
};

// Eight rows of one backward step with stride 1:
//   out[j][x] = sum over sources, then kernel columns b upwards, then kernel rows a downwards, of taps[a][b] * in[j - a][x - step * b]
// The output may stand where the input stood: columns are taken from the right, and all is read before anything is written.
template <class T>
struct Rows {
  const Source<T>* sources;
  Index n_sources;
  Index in_pitch, above_pitch;  // elements from row to row
  Index columns;                // of the kernel
  Index step;                   // pixels from one kernel column to the next
  T* out;
  Index out_pitch;
  Index width;                  // columns to compute; up to `overrun` more are written and read
  bool add;                     // to what stands in `out`
  T* keep;                      // where the last kernel rows - 1 rows of the input go, laid out as `above`; may be `above`, or null
};

// One row of pixels whose channels follow one another in memory:
//   out[p][o] = sum over taps, then channels c upwards, of weights[c][o] * source[p][c]
template <class T>
struct PixelTap {
  const T* source;   // [pixels, channels], the first pixel that this tap reads
  const T* weights;  // [channels, pitch]
};
template <class T>
struct Blend {
  const PixelTap<T>* taps;
  Index n_taps;
  Index channels;     // that are read
  Index source_step;  // elements from pixel to pixel
  T* out;
  Index out_step;
  Index pixels;
  Index pitch;        // channels that are written: a multiple of `channel_line`
};
template <class T>
inline constexpr Index channel_line = 64 / static_cast<Index>(sizeof(T));

template <class T>
struct Kernels {
  // out[x] = sum over t, in order, of taps[t].weight * taps[t].source[x], x in [0, n). One fused multiply-add each where the
  // instruction set has it. Writes (and reads) up to `overrun` elements past n.
  void (*fir)(T* out, const Tap<T>* taps, Index n_taps, Index n);
  T (*max_abs)(const T* values, Index n);
  double (*sum)(const T* values, Index n);
  double (*sum_of_squares)(const T* values, Index n, T scale);  // of scale * values
  void (*scaled)(T* out, const T* values, T factor, Index n);   // out[x] = factor * values[x]
  // out[i][j] = sum over k, in order, of weights[i][k] * waves[k][j], i < rows (at most 4), j < 16. out [4, 16], weights
  // [rows, n], waves [n, 16].
  void (*tile)(T* out, const T* weights, Index rows, const T* waves, Index n);
  // By the number of kernel rows, 1 to `most_kernel_rows`. Every sum is the chain of fused multiply-adds that `fir` makes of the same taps.
  void (*rows[most_kernel_rows + 1])(const Rows<T>& rows);
  void (*blend)(const Blend<T>& blend);
  // A bit for each value, x mod 8 of bits[x / 8]: whether it is positive. Up to 7 values past n are read, and their bits written.
  void (*positive)(std::uint8_t* bits, const T* values, Index n);
  // values[x] *= its bit ? open : shut; up to 7 values past n too.
  void (*gate)(T* values, const std::uint8_t* bits, T open, T shut, Index n);
};

// Kernels folded about their centres, for sums with real cosines and sines. The response of a layer at a frequency is
//   sum over t < n_cosine of c[t] wave[t]  +  i sum over the other n_sine terms,
// every c and wave being two parts, high and low.
struct FoldedLayers {
  const double* coefficients;  // [n_layers, terms, 2]
  const double* moments;       // [n_layers, 2, terms]: coefficients of the taps times their row, and their column; or null
  Index n_layers, n_cosine, n_sine;  // terms: those with cosines, then those with sines
};

// Sums in double-double arithmetic, on arrays of high and low parts. Compiled without contraction (cpp/src/kernels/exact.inl).
struct ExactKernels {
  // (hi, lo)[x] += weight * (source_hi, source_lo)[x]
  void (*add_scaled)(double* hi, double* lo, const double* source_hi, const double* source_lo, double weight, Index n);
  // `fir` on pixels whose low parts stand `low` elements after the high ones, `source_low` in what the taps read.
  void (*fir)(double* out, Index low, const Tap<double>* taps, Index n_taps, Index source_low, Index n);
  // (hi, lo)[x] *= (factor_hi, factor_lo)[x]; factor_lo may be null: zeros
  void (*multiply)(double* hi, double* lo, const double* factor_hi, const double* factor_lo, Index n);
  // Complex numbers (re, im) = z[x], as high and low parts [n] each.
  struct Numbers {
    double *re_hi, *re_lo, *im_hi, *im_lo;
  };
  // a[x] *= b[x]
  void (*multiply_complex)(const Numbers& a, const Numbers& b, Index n);
  // Brings the larger component of each to [1, 2) and adds the power of two taken out to exponents [n]; zeros stay.
  void (*normalise_complex)(const Numbers& a, Index* exponents, Index n);
  // p[j + 1] = first * (n - j) / (j + 1) * p[j] + second * (2 n - j + 1) / (j + 1) * p[j - 1], for `steps` values of j from `j` on. The
  // ratios are given as high and low parts; p[j + 1] is (hi, lo)[0], and what comes before stands before it.
  struct ThreeTerms {
    double first[2], second[2];
    Index n;
  };
  void (*three_terms)(double* hi, double* lo, const ThreeTerms& terms, Index j, Index steps);
  // product[x] * 2**exponents[x] is multiplied by the responses of all layers; the larger component comes to [1, 2). waves
  // [terms, 2, n], n a multiple of 8. positions: null, or re and im along both axes [4][n], to which the mean row and column of
  // what each layer's taps add up is added, in doubles.
  void (*multiply_layers)(const FoldedLayers& layers, const double* waves, Index n, const Numbers& product, Index* exponents,
                          double* const* positions);
};

// The ceiling of arithmetic (cpp/src/kernels/peak.inl).
template <class T>
struct Peak {
  T (*multiply_adds)(Index rounds);
  Index per_round;  // multiply-adds
};

struct PeakKernels {
  Peak<float> f32;
  Peak<double> f64;
};

struct KernelTable {
  const char* isa;
  const ExactKernels* exact;
  const SpectralKernels* spectral;
  const BandKernels* band;
  const PeakKernels* peak;
  const ProfileKernels* profile;
  const RandomKernels* random;
  Kernels<float> f32;
  Kernels<double> f64;
};

inline constexpr Index overrun = 32;  // elements that `fir` and tiles may write and read past the end of a row

template <class T>
const Kernels<T>& kernels_of(const KernelTable& table);
template <>
inline const Kernels<float>& kernels_of<float>(const KernelTable& table) {
  return table.f32;
}
template <>
inline const Kernels<double>& kernels_of<double>(const KernelTable& table) {
  return table.f64;
}

// The best table this machine can run, or the one ERFFAST_CPU_ISA names; throws std::runtime_error where that is unknown
// or not supported here.
const KernelTable& kernel_table();

}  // namespace erffast
