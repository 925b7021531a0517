// Inner loops, included by one small file per instruction set, which names its table, the vector width, and the
// width and number of the vectors in a register tile.
// Everything is in an anonymous namespace: a template with external linkage would be a weak symbol, and the linker could
// keep the copy compiled for an instruction set the machine does not have.
// This file is compiled with -ffp-contract=fast: `acc += w * x` has one contraction only, so every instruction set with
// fused multiply-add gives the same bits.

#include "erffast/kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

// The larger of the size of `values` and `best`, lane by lane; what is not a number is left out.
template <class T>
inline typename Vector<T>::type larger(const T* values, typename Vector<T>::type best) {
  using V = typename Vector<T>::type;
  using I = decltype(V{} > V{});
  const V size = (V)((I)load(values) & ~(I)-V{});  // without its sign
  return size > best ? size : best;
}

// Written with vector types: a loop over scalars is not vectorised here, and cost as much as the sums themselves. Rows of small maps
// are short: the last vector overlaps the one before it, for scalars at the end of a row took a third of a network's time.
template <class T>
T max_abs(const T* values, Index n) {
  using V = typename Vector<T>::type;
  constexpr Index lanes = Vector<T>::lanes;
  T result = 0;
  if (n < lanes) {
    for (Index x = 0; x < n; ++x) {
      const T v = values[x] < 0 ? -values[x] : values[x];
      result = v > result ? v : result;
    }
    return result;
  }
  V best[4] = {};
  Index x = 0;
  for (; x + 4 * lanes <= n; x += 4 * lanes) {
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) best[u] = larger(values + x + u * lanes, best[u]);
  }
  for (; x + lanes <= n; x += lanes) best[0] = larger(values + x, best[0]);
  best[1] = larger(values + n - lanes, best[1]);
  best[0] = best[0] > best[1] ? best[0] : best[1];
  best[2] = best[2] > best[3] ? best[2] : best[3];
  best[0] = best[0] > best[2] ? best[0] : best[2];
  for (Index j = 0; j < lanes; ++j) result = best[0][j] > result ? best[0][j] : result;
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

// The widest vectors, for the tiles: they do more work per pixel loaded than `fir`.
template <class T>
struct Wide {
  static constexpr Index lanes = ERFFAST_TILE_BYTES / static_cast<Index>(sizeof(T));
  typedef T type __attribute__((vector_size(ERFFAST_TILE_BYTES), aligned(sizeof(T)), may_alias));
};

// Keeps a value in a register. Without it g++ loads a pixel anew for each of the sums it goes into, and an unaligned load costs
// two (3x3 on a Sapphire Rapids core: 37 % of the multiply-adds instead of 80 %).
#if defined(__x86_64__)
#define ERFFAST_HELD(value) asm("" : "+v"(value))
#define ERFFAST_NEEDED(value) asm volatile("" : : "v"(value))
#elif defined(__aarch64__)
#define ERFFAST_HELD(value) asm("" : "+w"(value))
#define ERFFAST_NEEDED(value) asm volatile("" : : "w"(value))
#else
#define ERFFAST_HELD(value)
#define ERFFAST_NEEDED(value)
#endif

// Keeps the compiler from making one pointer and distances of several pointers that are stepped together.
#if defined(__GNUC__)
#define ERFFAST_STEPPED(pointer) asm("" : "+r"(pointer))
#else
#define ERFFAST_STEPPED(pointer)
#endif

// The register tile: eight rows of `across` vectors at column x. Each pixel loaded goes into as many sums as the kernel has rows.
// KernelColumns 0: as many as there are. Pitch 0: those of `r`.
template <class T, int KernelRows, int KernelColumns, Index Pitch, int across>
[[gnu::always_inline]] inline void rows_tile(const Rows<T>& r, Index x) {
  using V = typename Wide<T>::type;
  constexpr Index lanes = Wide<T>::lanes;
  constexpr int before = KernelRows - 1, rows = static_cast<int>(rows_at_once);
  const Index in_pitch = Pitch > 0 ? Pitch : r.in_pitch, above_pitch = Pitch > 0 ? Pitch : r.above_pitch;
  const Index out_pitch = Pitch > 0 ? Pitch : r.out_pitch;
  V acc[rows][across] = {};
  if (r.add) {
#pragma GCC unroll 8
    for (int j = 0; j < rows; ++j) {
#pragma GCC unroll 2
      for (int v = 0; v < across; ++v) acc[j][v] = *reinterpret_cast<const V*>(r.out + j * out_pitch + x + v * lanes);
    }
  }
  for (Index s = 0; s < r.n_sources; ++s) {
    const Source<T> source = r.sources[s];
    const Index columns = KernelColumns > 0 ? KernelColumns : r.columns;
#pragma GCC unroll 7
    for (Index b = 0; b < columns; ++b) {
      const T* above = source.above + (x - r.step * b);
      const T* in = source.in + (x - r.step * b);
      V weights[KernelRows];
#pragma GCC unroll 8
      for (int a = 0; a < KernelRows; ++a) weights[a] = source.taps[a * columns + b] - V{};
#pragma GCC unroll 16
      for (int i = 0; i < rows + before; ++i) {
        const T* row = i < before ? above + i * above_pitch : in + (i - before) * in_pitch;
#pragma GCC unroll 2
        for (int v = 0; v < across; ++v) {
          V pixels = *reinterpret_cast<const V*>(row + v * lanes);
          ERFFAST_HELD(pixels);
#pragma GCC unroll 8
          for (int j = 0; j < rows; ++j) {
            const int a = j + before - i;
            if (a >= 0 && a < KernelRows) acc[j][v] += weights[a] * pixels;
          }
          ERFFAST_NEEDED(pixels);
        }
      }
#pragma GCC unroll 8
      for (int a = 0; a < KernelRows; ++a) ERFFAST_NEEDED(weights[a]);
    }
  }
  if (r.keep != nullptr) {
    const T* last = r.sources[0].in + (rows - before) * in_pitch + x;
#pragma GCC unroll 8
    for (int i = 0; i < before; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < across; ++v) {
        *reinterpret_cast<V*>(r.keep + i * above_pitch + x + v * lanes) = *reinterpret_cast<const V*>(last + i * in_pitch + v * lanes);
      }
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < rows; ++j) {
#pragma GCC unroll 2
    for (int v = 0; v < across; ++v) *reinterpret_cast<V*>(r.out + j * out_pitch + x + v * lanes) = acc[j][v];
  }
}

template <class T, int KernelRows, int KernelColumns, Index Pitch>
void rows_by_tiles(const Rows<T> r) {  // a copy: no store to a pixel can change it, as far as the compiler knows
  constexpr Index lanes = Wide<T>::lanes;
  Index left = (r.width + lanes - 1) / lanes;
  if (left % ERFFAST_TILE_ACROSS != 0) rows_tile<T, KernelRows, KernelColumns, Pitch, 1>(r, --left * lanes);
  while (left > 0) {
    left -= ERFFAST_TILE_ACROSS;
    rows_tile<T, KernelRows, KernelColumns, Pitch, ERFFAST_TILE_ACROSS>(r, left * lanes);
  }
}

template <class T, int KernelRows>
void rows_of(const Rows<T>& r) {
  const bool square = r.columns == KernelRows;
  if (square && r.in_pitch == block_pitch<T> && r.above_pitch == block_pitch<T> && r.out_pitch == block_pitch<T>) {
    rows_by_tiles<T, KernelRows, KernelRows, block_pitch<T>>(r);
  } else {
    square ? rows_by_tiles<T, KernelRows, KernelRows, 0>(r) : rows_by_tiles<T, KernelRows, 0, 0>(r);
  }
}

// Pixels of a tile of `blend`, and vectors of channels: as many sums as the registers hold.
#if ERFFAST_TILE_BYTES == 64
constexpr int blend_pixels = 12, blend_lines = 2;
#elif ERFFAST_TILE_BYTES == 32
constexpr int blend_pixels = 6, blend_lines = 1;
#else
constexpr int blend_pixels = 3, blend_lines = 1;
#endif

// P pixels from pixel p on, `Lines` lines of channels from o on. Each weight loaded serves all pixels.
//
// A pointer for every three pixels, each held in a register: with one pointer and twelve distances registers ran out, and what was
// fetched back in the inner loop took the units of the multiply-adds (82 % of the ceiling against 93 %, 64 channels, float32).
template <class T, int Lines, int P>
[[gnu::always_inline]] inline void blend_tile(const Blend<T>& b, Index o, Index p) {
  using V = typename Wide<T>::type;
  constexpr Index lanes = Wide<T>::lanes;
  constexpr int vectors = static_cast<int>(Lines * channel_line<T> / lanes);
  constexpr int three = P < 3 ? 1 : 3, groups = P / three;
  const Index step = b.source_step, pitch = b.pitch;
  V acc[P][vectors] = {};
  for (Index t = 0; t < b.n_taps; ++t) {
    const T* source[groups];
    for (int i = 0; i < groups; ++i) source[i] = b.taps[t].source + (p + three * i) * step;
    const T* weights = b.taps[t].weights + o;
    for (const T* end = source[0] + b.channels; source[0] != end;) {
      V w[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        w[v] = *reinterpret_cast<const V*>(weights + v * lanes);
        ERFFAST_HELD(w[v]);
      }
      weights += pitch;
#pragma GCC unroll 4
      for (int g = 0; g < groups; ++g) {
#pragma GCC unroll 3
        for (int i = 0; i < three; ++i) {
          const V pixel = source[g][i * step] - V{};
#pragma GCC unroll 4
          for (int v = 0; v < vectors; ++v) acc[three * g + i][v] += w[v] * pixel;
        }
        ++source[g];
        ERFFAST_STEPPED(source[g]);
      }
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < P; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) *reinterpret_cast<V*>(b.out + (p + i) * b.out_step + o + v * lanes) = acc[i][v];
  }
}

template <class T, int Lines>
void blend_lines_of(const Blend<T>& b, Index o) {
  Index p = 0;
  for (; p + blend_pixels <= b.pixels; p += blend_pixels) blend_tile<T, Lines, blend_pixels>(b, o, p);
  if constexpr (blend_pixels == 12) {
    for (; p + 6 <= b.pixels; p += 6) blend_tile<T, Lines, 6>(b, o, p);
  }
  for (; p + 3 <= b.pixels; p += 3) blend_tile<T, Lines, 3>(b, o, p);
  for (; p < b.pixels; ++p) blend_tile<T, Lines, 1>(b, o, p);
}

template <class T>
void blend(const Blend<T>& b) {
  Index o = 0;
  for (; o + blend_lines * channel_line<T> <= b.pitch; o += blend_lines * channel_line<T>) blend_lines_of<T, blend_lines>(b, o);
  if constexpr (blend_lines > 1) {
    for (; o < b.pitch; o += channel_line<T>) blend_lines_of<T, 1>(b, o);
  }
}

// Bit j: whether lane j is positive.
template <class T>
inline unsigned positive_lanes(typename Vector<T>::type v) {
#if defined(__x86_64__) && ERFFAST_VECTOR_BYTES == 32
  if constexpr (sizeof(T) == 4) return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps((__m256)v, _mm256_setzero_ps(), _CMP_GT_OQ)));
  else return static_cast<unsigned>(_mm256_movemask_pd(_mm256_cmp_pd((__m256d)v, _mm256_setzero_pd(), _CMP_GT_OQ)));
#elif defined(__x86_64__)
  if constexpr (sizeof(T) == 4) return static_cast<unsigned>(_mm_movemask_ps(_mm_cmpgt_ps((__m128)v, _mm_setzero_ps())));
  else return static_cast<unsigned>(_mm_movemask_pd(_mm_cmpgt_pd((__m128d)v, _mm_setzero_pd())));
#else
  unsigned bits = 0;
  for (int j = 0; j < Vector<T>::lanes; ++j) bits |= static_cast<unsigned>(v[j] > 0) << j;
  return bits;
#endif
}

template <class T>
void positive(std::uint8_t* bits, const T* values, Index n) {
  constexpr int lanes = static_cast<int>(Vector<T>::lanes);
  for (Index x = 0; x < n; x += 8) {
    unsigned byte = 0;
#pragma GCC unroll 4
    for (int j = 0; j < 8; j += lanes) byte |= positive_lanes<T>(load<T>(values + x + j)) << j;
    bits[x / 8] = static_cast<std::uint8_t>(byte);
  }
}

template <class T>
void gate(T* values, const std::uint8_t* bits, T open, T shut, Index n) {
  using V = typename Vector<T>::type;
  using I = decltype(V{} > V{});  // whole numbers of the same width
  constexpr int lanes = static_cast<int>(Vector<T>::lanes);
  const V opens = open - V{}, shuts = shut - V{};
  I bit[8 / lanes];
  for (int j = 0; j < 8; ++j) bit[j / lanes][j % lanes] = 1 << j;
  for (Index x = 0; x < n; x += 8) {
    const I byte = bits[x / 8] - I{};
#pragma GCC unroll 4
    for (int j = 0; j < 8; j += lanes) {
      const V factor = (byte & bit[j / lanes]) != 0 ? opens : shuts;
      store<T>(values + x + j, load<T>(values + x + j) * factor);
    }
  }
}

template <class T>
constexpr Kernels<T> kernels_for() {
  return {fir<T>, max_abs<T>, sum<T>, sum_of_squares<T>, scaled<T>, tile<T>,
          {nullptr, rows_of<T, 1>, rows_of<T, 2>, rows_of<T, 3>, rows_of<T, 4>, rows_of<T, 5>, rows_of<T, 6>, rows_of<T, 7>},
          blend<T>, positive<T>, gate<T>};
}

}  // namespace

extern const ExactKernels ERFFAST_EXACT;
extern const SpectralKernels ERFFAST_SPECTRAL;
extern const BandKernels ERFFAST_BAND;
extern const PeakKernels ERFFAST_PEAK;
extern const ProfileKernels ERFFAST_PROFILE;
extern const RandomKernels ERFFAST_RANDOM;
extern const KernelTable ERFFAST_TABLE;
const KernelTable ERFFAST_TABLE = {ERFFAST_ISA_NAME, &ERFFAST_EXACT, &ERFFAST_SPECTRAL, &ERFFAST_BAND, &ERFFAST_PEAK, &ERFFAST_PROFILE,
                                   &ERFFAST_RANDOM, kernels_for<float>(), kernels_for<double>()};

}  // namespace erffast
