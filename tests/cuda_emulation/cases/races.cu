// Accesses that nothing orders.
#include "cases.hpp"

using namespace cases;

namespace {

__global__ void no_barrier(float* out) {
  GPU_SHARED(float, tile, [threads]);
  tile[thread()] = 0;
  __syncthreads();
  tile[thread()] = static_cast<float>(thread());
  out[thread()] = tile[threads - 1 - thread()];
}
CASE(no_barrier, Arrays& a) { return start(no_barrier, 0, a.out); }

__global__ void one_barrier_in_a_loop(float* out) {
  GPU_SHARED(float, tile, [threads]);
  float value = static_cast<float>(thread());
  for (int i = 0; i < 4; ++i) {
    tile[thread()] = value;
    __syncthreads();
    value = 0.5f * (value + tile[(thread() + 1) % threads]);
  }
  out[thread()] = value;
}
CASE(one_barrier_in_a_loop, Arrays& a) { return start(one_barrier_in_a_loop, 0, a.out); }

__global__ void same_value_written(float* out) {
  GPU_SHARED(float, tile, [1]);
  tile[0] = 7;
  __syncthreads();
  out[thread()] = tile[0];
}
CASE(same_value_written, Arrays& a) { return start(same_value_written, 0, a.out); }

// As if the lanes of a warp ran in step.
__global__ void warp_in_step(float* out) {
  GPU_SHARED(float, tile, [threads]);
  tile[thread()] = static_cast<float>(thread());
  __syncthreads();
  if (thread() < 32) {
    tile[thread()] += tile[thread() + 32];
    tile[thread()] += tile[(thread() + 16) % 32];
  }
  __syncthreads();
  out[thread()] = tile[0];
}
CASE(warp_in_step, Arrays& a) { return start(warp_in_step, 0, a.out); }

__global__ void half_warps_meet(float* out) {
  GPU_SHARED(float, tile, [threads]);
  tile[thread()] = static_cast<float>(thread());
  __syncwarp(thread() % 32 < 16 ? 0x0000ffffu : 0xffff0000u);
  out[thread()] = tile[thread() ^ 16];
}
CASE(half_warps_meet, Arrays& a) { return start(half_warps_meet, 0, a.out); }

__global__ void plain_read_of_atomic(float* out, int* counter) {
  atomicAdd(counter, 1);
  out[thread()] = static_cast<float>(*counter);
}
CASE(plain_read_of_atomic, Arrays& a) { return start(plain_read_of_atomic, 0, a.out, reinterpret_cast<int*>(a.in)); }

__global__ void blocks_write_the_same(float* out) { out[thread()] += 1; }
CASE(blocks_write_the_same, Arrays& a) { return gpu::launch(blocks_write_the_same, dim3(2), dim3(threads), 0, nullptr, a.out); }

__global__ void block_reads_what_another_writes(float* out, float* in) {
  out[thread()] = in[thread()];
  if (blockIdx.x == 1) in[thread()] = 0;
}
CASE(block_reads_what_another_writes, Arrays& a) {
  return gpu::launch(block_reads_what_another_writes, dim3(2), dim3(threads), 0, nullptr, a.out, a.in);
}

}  // namespace
