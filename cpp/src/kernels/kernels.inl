// Inner loops, included by one small file per instruction set, which names its table and the vector width.
// Everything is in an anonymous namespace: a template with external linkage would be a weak symbol, and the linker could
// keep the copy compiled for an instruction set the machine does not have.
// This file is compiled with -ffp-contract=fast: `acc += w * x` has one contraction only, so every instruction set with
// fused multiply-add gives the same bits.

#include "erffast/kernels.hpp"

namespace erffast {
namespace {

template <class T>
struct Vector {
  static constexpr Index lanes = ERFFAST_VECTOR_BYTES / static_cast<Index>(sizeof(T));
  typedef T type __attribute__((vector_size(ERFFAST_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
};

template <class T>
inline typename Vector<T>::type load(const T* p) {
  return *reinterpret_cast<const typename Vector<T>::type*>(p);
}

template <class T>
inline void store(T* p, typename Vector<T>::type v) {
  *reinterpret_cast<typename Vector<T>::type*>(p) = v;
}

// One register tile of U vectors: the accumulators stay in registers over all taps.
template <class T, int U>
inline void fir_tile(T* out, const Tap<T>* taps, Index n_taps, Index x) {
  using V = typename Vector<T>::type;
  constexpr Index lanes = Vector<T>::lanes;
  V acc[U] = {};
  for (Index t = 0; t < n_taps; ++t) {
    const T* source = taps[t].source + x;
    const V w = taps[t].weight - V{};
#pragma GCC unroll 16
    for (int u = 0; u < U; ++u) acc[u] += w * load<T>(source + u * lanes);
  }
#pragma GCC unroll 16
  for (int u = 0; u < U; ++u) store<T>(out + x + u * lanes, acc[u]);
}

template <class T>
void fir(T* out, const Tap<T>* taps, Index n_taps, Index n) {
  constexpr Index lanes = Vector<T>::lanes;
  Index x = 0;
  for (; x + 8 * lanes <= n; x += 8 * lanes) fir_tile<T, 8>(out, taps, n_taps, x);
  for (; x + 2 * lanes <= n; x += 2 * lanes) fir_tile<T, 2>(out, taps, n_taps, x);
  for (; x < n; x += lanes) fir_tile<T, 1>(out, taps, n_taps, x);  // the last may overrun into the zero margin
}

// Written with vector types: a loop over scalars is not vectorised here, and cost as much as the sums themselves.
template <class T>
T max_abs(const T* values, Index n) {
  using V = typename Vector<T>::type;
  constexpr Index lanes = Vector<T>::lanes;
  V best[4] = {};
  Index x = 0;
  for (; x + 4 * lanes <= n; x += 4 * lanes) {
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) {
      const V v = load<T>(values + x + u * lanes);
      const V size = v < 0 ? -v : v;
      best[u] = size > best[u] ? size : best[u];
    }
  }
  T result = 0;
  for (; x < n; ++x) {
    const T v = values[x] < 0 ? -values[x] : values[x];
    result = v > result ? v : result;
  }
  for (int u = 0; u < 4; ++u) {
    for (Index j = 0; j < lanes; ++j) result = best[u][j] > result ? best[u][j] : result;
  }
  return result;
}

inline double folded(const double (&acc)[8]) {
  return ((acc[0] + acc[1]) + (acc[2] + acc[3])) + ((acc[4] + acc[5]) + (acc[6] + acc[7]));
}

template <class T>
double sum(const T* values, Index n) {
  double acc[8] = {};
  Index x = 0;
  for (; x + 8 <= n; x += 8) {
    for (int j = 0; j < 8; ++j) acc[j] += static_cast<double>(values[x + j]);
  }
  for (; x < n; ++x) acc[0] += static_cast<double>(values[x]);
  return folded(acc);
}

template <class T>
double sum_of_squares(const T* values, Index n, T scale) {
  double acc[8] = {};
  Index x = 0;
  for (; x + 8 <= n; x += 8) {
    for (int j = 0; j < 8; ++j) {
      const double v = static_cast<double>(scale * values[x + j]);
      acc[j] += v * v;
    }
  }
  for (; x < n; ++x) {
    const double v = static_cast<double>(scale * values[x]);
    acc[0] += v * v;
  }
  return folded(acc);
}

template <class T>
void scaled(T* out, const T* values, T factor, Index n) {
  for (Index x = 0; x < n; ++x) out[x] = factor * values[x];
}

template <class T, int Rows>
void tile_of(T* out, const T* weights, const T* waves, Index n) {
  using V = typename Vector<T>::type;
  constexpr Index lanes = Vector<T>::lanes;
  constexpr int across = static_cast<int>(16 / lanes);
  V acc[Rows][across] = {};
  for (Index k = 0; k < n; ++k) {
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i) {
      const V w = weights[i * n + k] - V{};
#pragma GCC unroll 8
      for (int j = 0; j < across; ++j) acc[i][j] += w * load<T>(waves + k * 16 + j * lanes);
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < across; ++j) store<T>(out + i * 16 + j * lanes, acc[i][j]);
  }
}

template <class T>
void tile(T* out, const T* weights, Index rows, const T* waves, Index n) {
  switch (rows) {
    case 1: return tile_of<T, 1>(out, weights, waves, n);
    case 2: return tile_of<T, 2>(out, weights, waves, n);
    case 3: return tile_of<T, 3>(out, weights, waves, n);
    default: return tile_of<T, 4>(out, weights, waves, n);
  }
}

template <class T>
constexpr Kernels<T> kernels_for() {
  return {fir<T>, max_abs<T>, sum<T>, sum_of_squares<T>, scaled<T>, tile<T>};
}

}  // namespace

extern const ExactKernels ERFFAST_EXACT;
extern const SpectralKernels ERFFAST_SPECTRAL;
extern const BandKernels ERFFAST_BAND;
extern const PeakKernels ERFFAST_PEAK;
extern const ProfileKernels ERFFAST_PROFILE;
extern const KernelTable ERFFAST_TABLE;
const KernelTable ERFFAST_TABLE = {ERFFAST_ISA_NAME, &ERFFAST_EXACT, &ERFFAST_SPECTRAL, &ERFFAST_BAND, &ERFFAST_PEAK, &ERFFAST_PROFILE,
                                   kernels_for<float>(), kernels_for<double>()};

}  // namespace erffast
