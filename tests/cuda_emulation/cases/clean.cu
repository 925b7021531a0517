// Kernels without a mistake, whose answers are known.
#include "cases.hpp"

using namespace cases;

namespace {

__constant__ const float table[4] = {1, 2, 3, 4};

__global__ void clean_named(float* out, const float* in) {
  GPU_SHARED(float, tile, [threads]);
  tile[thread()] = in[thread()] * table[thread() % 4];
  __syncthreads();
  out[thread()] = tile[threads - 1 - thread()];
}
CASE(clean_named, Arrays& a) { return start(clean_named, 0, a.out, a.in); }

// Two arrays that change places in each round.
__global__ void clean_carved(float* out, const float* in, int rounds) {
  gpu::SharedMemory memory;
  float* now = memory.take<float>(threads);
  float* next = memory.take<float>(threads);
  now[thread()] = in[thread()];
  __syncthreads();
  for (int i = 0; i < rounds; ++i) {
    next[thread()] = now[(thread() + 1) % threads];
    __syncthreads();
    float* const last = now;
    now = next;
    next = last;
  }
  out[thread()] = now[thread()];
}
CASE(clean_carved, Arrays& a) { return start(clean_carved, 2 * threads * sizeof(float), a.out, a.in, 5); }

// Sums over butterflies in shared memory, ordered by the meetings of the lanes.
__global__ void clean_warp_meetings(float* out, const float* in) {
  GPU_SHARED(float, tile, [threads]);
  tile[thread()] = in[thread()];
  __syncwarp();
  for (int step = 1; step < 32; step *= 2) {
    const float other = tile[thread() ^ step];
    __syncwarp();
    tile[thread()] += other;
    __syncwarp();
  }
  out[thread()] = tile[thread()];
}
CASE(clean_warp_meetings, Arrays& a) { return start(clean_warp_meetings, 0, a.out, a.in); }

__global__ void clean_shuffles(float* out, const float* in) {
  float sum = in[thread()];
  for (unsigned step = 16; step > 0; step /= 2) sum += __shfl_down_sync(~0u, sum, step);
  sum = __shfl_sync(~0u, sum, 0);
  const double scan = static_cast<double>(__shfl_up_sync(~0u, thread(), 1, 16));  // within half warps; the first keeps its own
  out[thread()] = sum + static_cast<float>(scan) + static_cast<float>(__shfl_xor_sync(~0u, 1LL << 40, 3) >> 40);
}
CASE(clean_shuffles, Arrays& a) { return start(clean_shuffles, 0, a.out, a.in); }

__global__ void clean_votes(float* out) {
  const bool odd = thread() % 2 != 0;
  const unsigned lanes = __ballot_sync(~0u, odd);
  const int warp = __any_sync(~0u, thread() == 40) + 2 * __all_sync(~0u, thread() < 32);
  const int block = __syncthreads_count(odd) + 100 * __syncthreads_and(thread() < threads) + 200 * __syncthreads_or(thread() == 3);
  out[thread()] = static_cast<float>(block + 1000 * warp + (lanes == 0xaaaaaaaau ? 10000 : 0));
}
CASE(clean_votes, Arrays& a) { return start(clean_votes, 0, a.out); }

// Half warps that meet among themselves, at different places and different numbers of times.
__global__ void clean_half_warps(float* out) {
  GPU_SHARED(float, tile, [threads]);
  tile[thread()] = static_cast<float>(thread());
  float sum = 0;
  if (thread() % 32 < 16) {
    __syncwarp(0x0000ffffu);
    sum = tile[thread() ^ 1];
  } else {
    for (int i = 0; i < 3; ++i) {
      __syncwarp(0xffff0000u);
      sum += tile[thread() ^ 2];
    }
  }
  out[thread()] = sum;
}
CASE(clean_half_warps, Arrays& a) { return start(clean_half_warps, 0, a.out); }

// Blocks that only meet in atomic operations; whole numbers, as the order is free.
__global__ void clean_atomics(float* out, int* words) {
  atomicAdd(&words[0], thread());
  atomicMax(&words[1], static_cast<int>(blockIdx.x) * threads + thread());
  atomicMin(&words[2], -thread());
  atomicCAS(&words[3], 0, 5);
  atomicAdd(reinterpret_cast<unsigned long long*>(words) + 2, 1ull << 33);
  atomicAdd(reinterpret_cast<double*>(words) + 3, 0.5);
  atomicAdd(&out[thread()], 2.0f);
}
__global__ void read_atomics(float* out, const int* words) {
  const float values[] = {static_cast<float>(words[0]),
                          static_cast<float>(words[1]),
                          static_cast<float>(words[2]),
                          static_cast<float>(words[3]),
                          static_cast<float>(reinterpret_cast<const unsigned long long*>(words)[2] >> 33),
                          static_cast<float>(reinterpret_cast<const double*>(words)[3])};
  if (thread() < 6) out[thread()] = values[thread()];
}
CASE(clean_atomics, Arrays& a) {
  int* const words = reinterpret_cast<int*>(a.in);
  cudaMemset(words, 0, threads * sizeof(int));
  gpu::launch(clean_atomics, dim3(3), dim3(threads), 0, nullptr, a.out, words);
  return start(read_atomics, 0, a.out, words);
}

// Blocks and threads of three axes, and no barrier.
__global__ void clean_axes(float* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned inside = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned i = block * blockDim.x * blockDim.y * blockDim.z + inside;
  out[i] = static_cast<float>(i);
}
CASE(clean_axes, Arrays& a) { return gpu::launch(clean_axes, dim3(2, 1, 2), dim3(2, 4, 2), 0, nullptr, a.out); }

// 6e-42 and its half are denormal.
__global__ void clean_denormals(float* out, float small) { out[thread()] = small * 0.5f > 0 ? 1.0f : 0.0f; }
CASE(clean_denormals, Arrays& a) { return start(clean_denormals, 0, a.out, 6e-42f); }

}  // namespace
