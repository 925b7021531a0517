// The product of transfer functions: a thread for each quad of frequencies (u, v), (-u, v), (u, pi - v), (-u, pi - v), whose running
// products stay in registers over all layers of a launch. A block shares one u: its threads compose the groups' rows, one each, into
// shared memory, and all evaluate all of them (the sums are explained in cpp/src/kernels/spectral.inl).
//
// Expected on an H100, not measured: a group of four layers of 3 x 3 taps takes 48 double precision instructions a quad and 9 loads of 16
// bytes from shared memory that serve a whole warp, so arithmetic decides: 2016 x 2016 pixels and 1000 layers are 6.1e9 lanes' instructions,
// 0.36 ms at 17e12 a second. Composing adds 250 groups * 190 to the 250 * 48 * 128 of a block, 3 %; the taps come from the second-level
// cache. Spectrum and exponents, 20 bytes a frequency, are written once: 40 MB, 15 us.
#pragma once

#include "spectral/coarse.cuh"
#include "spectral/compose.cuh"

namespace erffast::cuda {

constexpr int product_threads = 128;
constexpr int product_blocks = 4;                       // of a multiprocessor at a time: 128 registers a thread
constexpr int chunk_doubles = 18 * product_threads;  // as many groups of four layers of three taps as there are threads to compose them
constexpr int kept_half = 4;                         // cosines and sines of so many j stay in registers

// Groups [first, last), at most `product_threads`, whose coefficients fill at most `chunk_doubles`; or a single one of any size.
struct Chunk {
  int first, last;
};

// The layers of one spacing and the frequencies: those of a period of height x (2 (columns - 1)) pixels.
struct ProductInput {
  const double* taps;           // folded, [draws or 1][draw_stride]
  Index draw_stride;            // 0: no draw differs
  const FoldedLayer* layers;
  const GroupOfLayers* groups;
  const Chunk* chunks;
  const double* down;           // [2][half_y + 1][rows computed]: cosines, sines of y u
  Index down_pitch;             // (half_y + 1) * rows computed
  const double* along;          // [2][half][columns computed]: cosines, sines of j v, j from 1
  Index along_pitch;            // half * columns computed
  int half;                     // in that table, at least 1
  int computed[2];              // rows u = 0 .. height / 2, columns v = 0 .. width / 4
  int rows, columns;            // of the spectrum
  double* scratch;              // null, or [blocks of a launch][scratch_size]: coefficients that are too many for shared memory
  Index scratch_size;
};

struct Sums {
  double x[2], y[2], z[2], w[2];  // of even and odd j
};

__device__ inline void add_pair(Sums& s, int parity, const double* c, double cosine, double sine) {
  const double2 even = reinterpret_cast<const double2*>(c)[0], odd = reinterpret_cast<const double2*>(c)[1];
  s.x[parity] = fma(even.x, cosine, s.x[parity]);
  s.z[parity] = fma(even.y, cosine, s.z[parity]);
  s.y[parity] = fma(odd.x, sine, s.y[parity]);
  s.w[parity] = fma(odd.y, sine, s.w[parity]);
}

// Only the x and z of even j have a term without a wave.
__device__ inline Sums begin(const double* c) {
  const double2 middle = *reinterpret_cast<const double2*>(c);
  return {{middle.x, 0}, {0, 0}, {middle.y, 0}, {0, 0}};
}

template <bool Paired>
__device__ inline void multiply(const Sums& s, Scaled (&p)[4]) {
  {
    const double x = s.x[0] + s.x[1], y = s.y[0] + s.y[1], z = s.z[0] + s.z[1], w = s.w[0] + s.w[1];
    times(p[0], x + y, z - w);
    if constexpr (Paired) times_conjugate(p[1], x - y, z + w);
  }
  const double x = s.x[0] - s.x[1], y = s.y[1] - s.y[0], z = s.z[0] - s.z[1], w = s.w[1] - s.w[0];
  times(p[2], x + y, z - w);
  if constexpr (Paired) times_conjugate(p[3], x - y, z + w);
}

template <int H, bool Paired>
__device__ inline void multiply_group(const double* c, const double (&cosine)[kept_half], const double (&sine)[kept_half], Scaled (&p)[4]) {
  Sums s = begin(c);
  GPU_UNROLL
  for (int j = 1; j <= H; ++j) add_pair(s, j & 1, c + 4 * j - 2, cosine[j - 1], sine[j - 1]);
  multiply<Paired>(s, p);
}

template <bool Paired>
__device__ inline void multiply_wide(const double* c, int half, const double* cosines, const double* sines, Index pitch, Scaled (&p)[4]) {
  Sums s = begin(c);
  GPU_ROLLED
  for (int j = 1; j <= half; ++j) add_pair(s, j & 1, c + 4 * j - 2, cosines[(j - 1) * pitch], sines[(j - 1) * pitch]);
  multiply<Paired>(s, p);
}

// Blocks first_block + blockIdx.x of draws * computed rows * (columns in blocks of threads), chunks [first_chunk, last_chunk).
// `begins`: the products start at 1, instead of at `state`.
template <bool Paired, bool Wide>
__global__ void __launch_bounds__(product_threads, product_blocks)
    product_kernel(ProductInput in, ProductState state, Index first_block, int first_chunk, int last_chunk, bool begins) {
  GPU_SHARED(double, shared, [chunk_doubles]);
  double* coefficients = shared;
  if constexpr (Wide) coefficients = in.scratch + blockIdx.x * in.scratch_size;
  const int across = (in.computed[1] + product_threads - 1) / product_threads;
  const Index block = first_block + blockIdx.x, row = block / across;
  const int u = static_cast<int>(row % in.computed[0]), v = static_cast<int>(block % across) * product_threads + static_cast<int>(threadIdx.x);
  const Index draw = row / in.computed[0];
  const bool inside = v < in.computed[1];

  const int below = u == 0 ? 0 : in.rows - u, mirrored = in.columns - 1 - v;
  const bool apart = Paired && below != u && u != 0;
  const Index start = draw * in.rows * in.columns;
  const auto at = [&](int q) { return start + static_cast<Index>(q % 2 != 0 ? below : u) * in.columns + (q >= 2 ? mirrored : v); };
  Scaled p[4] = {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}};
  const double* cosines = in.along + v;
  const double* sines = cosines + in.along_pitch;
  GPU_UNROLL
  for (int q = 0; q < 4; ++q) {
    if (begins || !inside || (q % 2 != 0 && !apart)) continue;
    const double2 value = state.values[at(q)];
    p[q] = {value.x, value.y, state.exponents[at(q)]};
  }
  const Composer composer{in.taps + draw * in.draw_stride, in.layers, in.down + u, in.down + in.down_pitch + u, in.computed[0]};

  for (int chunk = first_chunk; chunk < last_chunk; ++chunk) {
    const Chunk groups = in.chunks[chunk];
    if constexpr (Wide) {
      const GroupOfLayers& group = in.groups[groups.first];
      if (group.layers == 1) {
        compose_one(composer, in.layers[group.first], static_cast<int>(threadIdx.x), product_threads, coefficients);
      } else if (threadIdx.x == 0) {
        compose(composer, group, coefficients);
      }
    } else {
      const int mine = groups.first + static_cast<int>(threadIdx.x);
      if (mine < groups.last) compose(composer, in.groups[mine], coefficients + in.groups[mine].offset);
    }
    __syncthreads();  // the coefficients are complete
    // read again for each chunk: composing needs the registers
    double cosine[kept_half] = {}, sine[kept_half] = {};
    GPU_UNROLL
    for (int j = 0; j < kept_half; ++j) {
      if (j >= in.half || !inside) continue;
      cosine[j] = cosines[static_cast<Index>(j) * in.computed[1]];
      sine[j] = sines[static_cast<Index>(j) * in.computed[1]];
    }
    GPU_ROLLED
    for (int g = groups.first; g < groups.last && inside; ++g) {
      const GroupOfLayers group = in.groups[g];
      const double* c = coefficients + group.offset;
      switch (group.half) {
        case 0: multiply_group<0, Paired>(c, cosine, sine, p); break;
        case 1: multiply_group<1, Paired>(c, cosine, sine, p); break;
        case 2: multiply_group<2, Paired>(c, cosine, sine, p); break;
        case 3: multiply_group<3, Paired>(c, cosine, sine, p); break;
        case 4: multiply_group<4, Paired>(c, cosine, sine, p); break;
        default: multiply_wide<Paired>(c, group.half, cosines, sines, in.computed[1], p); break;
      }
      if (group.renormalise) {
        GPU_UNROLL
        for (int q = 0; q < 4; ++q) normalise(p[q]);
      }
    }
    __syncthreads();  // all have used them
  }
  if (!inside) return;
  GPU_UNROLL
  for (int q = 0; q < 4; ++q) {
    if (q % 2 != 0 && !apart) continue;
    normalise(p[q]);
    state.values[at(q)] = make_double2(p[q].re, p[q].im);
    state.exponents[at(q)] = p[q].exponent;
  }
}

}  // namespace erffast::cuda
