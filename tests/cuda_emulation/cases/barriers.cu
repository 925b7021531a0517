// Threads that do not all come to the same barrier, lanes that do not all come to the same meeting.
#include "cases.hpp"

using namespace cases;

namespace {

__global__ void half_a_block(float* out) {
  if (thread() < 16) __syncthreads();
  out[thread()] = 1;
}
CASE(half_a_block, Arrays& a) { return start(half_a_block, 0, a.out); }

__global__ void two_places(float* out) {
  if (thread() % 2 == 0) {
    __syncthreads();
    out[thread()] = 1;
  } else {
    __syncthreads();
    out[thread()] = 2;
  }
}
CASE(two_places, Arrays& a) { return start(two_places, 0, a.out); }

__global__ void unequal_rounds(float* out, int rounds) {
  for (int i = 0; i < (thread() < 32 ? rounds : rounds + 1); ++i) __syncthreads();
  out[thread()] = 1;
}
CASE(unequal_rounds, Arrays& a) { return start(unequal_rounds, 0, a.out, 3); }

__global__ void early_return(float* out, int n) {
  if (thread() >= n) return;
  out[thread()] = 1;
  __syncthreads();
  out[thread()] += 1;
}
CASE(early_return, Arrays& a) { return start(early_return, 0, a.out, 60); }

__global__ void barrier_against_shuffle(float* out) {
  float value = 1;
  if (thread() % 32 < 16) value = __shfl_down_sync(~0u, value, 1);
  __syncthreads();
  out[thread()] = value;
}
CASE(barrier_against_shuffle, Arrays& a) { return start(barrier_against_shuffle, 0, a.out); }

__global__ void lane_not_named(float* out) { out[thread()] = __shfl_sync(0x0000ffffu, 1.0f, 0); }
CASE(lane_not_named, Arrays& a) { return start(lane_not_named, 0, a.out); }

__global__ void lane_takes_no_part(float* out) {
  float value = 1;
  if (thread() % 32 < 16) value = __shfl_down_sync(0x0000ffffu, value, 8);
  out[thread()] = value;
}
CASE(lane_takes_no_part, Arrays& a) { return start(lane_takes_no_part, 0, a.out); }

}  // namespace
