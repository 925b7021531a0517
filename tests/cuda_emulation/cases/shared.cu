// Shared memory beyond its bounds, before its first write, and more of it than there is.
#include "cases.hpp"

using namespace cases;

namespace {

__global__ void named_beyond(float* out) {
  GPU_SHARED(float, tile, [threads]);
  float* const moved = tile + 1;
  moved[thread()] = 1;
  __syncthreads();
  out[thread()] = tile[threads - 1 - thread()];
}
CASE(named_beyond, Arrays& a) { return start(named_beyond, 0, a.out); }

// The write of the last thread falls between two arrays, and would fall into the second on a device.
template <class T>
__global__ void named_into_neighbour(T* out) {
  GPU_SHARED(T, first, [threads]);
  GPU_SHARED(T, second, [threads]);
  first[thread()] = 1;
  second[thread()] = 1;
  __syncthreads();
  T* const pointer = first;
  pointer[thread() + 1] = 2;
  __syncthreads();
  out[thread()] = first[thread()] + second[thread()];
}
CASE(named_into_neighbour, Arrays& a) { return start(named_into_neighbour<float>, 0, a.out); }

__global__ void carved_beyond(float* out) {
  gpu::SharedMemory memory;
  float* const first = memory.take<float>(threads);
  float* const second = memory.take<float>(threads);
  first[thread() + 1] = 1;
  second[thread()] = 0;
  __syncthreads();
  out[thread()] = first[thread()] + second[thread()];
}
CASE(carved_beyond, Arrays& a) { return start(carved_beyond, 2 * threads * sizeof(float), a.out); }

__global__ void carved_too_much(float* out) {
  gpu::SharedMemory memory;
  memory.take<float>(640)[thread()] = 1;
  out[thread()] = 1;
}
CASE(carved_too_much, Arrays& a) { return start(carved_too_much, 512, a.out); }

__global__ void carved_differently(float* out) {
  gpu::SharedMemory memory;
  memory.take<float>(thread() < 32 ? 32 : 64)[thread() % 32] = 1;
  out[thread()] = 1;
}
CASE(carved_differently, Arrays& a) { return start(carved_differently, 512, a.out); }

__global__ void named_too_much(float* out) {
  GPU_SHARED(float, tile, [12300]);
  tile[thread()] = 1;
  out[thread()] = 1;
}
CASE(named_too_much, Arrays& a) { return start(named_too_much, 0, a.out); }

__global__ void together_too_much(float* out) {
  GPU_SHARED(float, tile, [12000]);
  tile[thread()] = 1;
  out[thread()] = 1;
}
CASE(together_too_much, Arrays& a) { return start(together_too_much, 2000, a.out); }

__global__ void shared_uninitialised(float* out) {
  GPU_SHARED(float, tile, [threads]);
  if (thread() < 60) tile[thread()] = 1;
  __syncthreads();
  out[thread()] = tile[thread()];
}
CASE(shared_uninitialised, Arrays& a) { return start(shared_uninitialised, 0, a.out); }

}  // namespace
