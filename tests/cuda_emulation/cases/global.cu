// Device memory, memory that is none, and what a kernel's own arithmetic and arrays can do wrong.
#include "cases.hpp"

using namespace cases;

namespace {

__global__ void copy(float* out, const float* in) { out[thread()] = in[thread()]; }

__global__ void global_beyond(float* out, int offset) { out[thread() + offset] = 1; }
CASE(global_beyond, Arrays& a) { return start(global_beyond, 0, a.out, 1); }
CASE(global_before, Arrays& a) { return start(global_beyond, 0, a.out, -1); }

CASE(global_uninitialised, Arrays& a) {
  float* fresh = nullptr;
  cudaMalloc(&fresh, threads * sizeof(float));
  const cudaError_t error = start(copy, 0, a.out, fresh);
  cudaFree(fresh);
  return error;
}

CASE(copied_uninitialised, Arrays& a) {
  float* fresh = nullptr;
  cudaMalloc(&fresh, threads * sizeof(float));
  cudaMemcpy(a.in, fresh, threads * sizeof(float), cudaMemcpyDeviceToDevice);
  const cudaError_t error = start(copy, 0, a.out, a.in);
  cudaFree(fresh);
  return error;
}

CASE(use_after_free, Arrays& a) {
  float* const freed = a.in;
  cudaFree(a.in);
  a.in = nullptr;
  return start(copy, 0, a.out, freed);
}

CASE(host_pointer, Arrays& a) { return start(copy, 0, a.out, a.host.data()); }

CASE(host_reads_device, Arrays& a) {
  a.host[0] = a.out[5];
  return cudaSuccess;
}

__global__ void copies(float* out, const float* in) { out[thread()] = in[thread()]; }
CASE(memory_of_another_device, Arrays& a) {
  float* here = nullptr;
  if (const cudaError_t error = cudaSetDevice(1); error != cudaSuccess) return error;
  cudaMalloc(&here, threads * sizeof(float));
  const cudaError_t error = start(copies, 0, here, a.in);
  cudaFree(here);
  cudaSetDevice(0);
  return error;
}

}  // namespace

namespace cases {
__device__ float variable = 0;  // which other files could read: the compiler must write it
}

namespace {

__global__ void writes_a_variable(float* out) {
  variable = 1;
  out[thread()] = variable;
}
CASE(writes_a_variable, Arrays& a) { return start(writes_a_variable, 0, a.out); }

__global__ void misaligned(float* out, const float* in) {
  const float4 four = *reinterpret_cast<const float4*>(in + 1);
  out[thread()] = four.x;
}
CASE(misaligned, Arrays& a) { return start(misaligned, 0, a.out, a.in); }

__global__ void signed_overflow(float* out, int large) { out[thread()] = static_cast<float>(large + thread()); }
CASE(signed_overflow, Arrays& a) { return start(signed_overflow, 0, a.out, 0x7ffffff0); }

__global__ void local_beyond(float* out, int n) {
  float local[8];
  for (int i = 0; i < n; ++i) local[i] = static_cast<float>(i);
  out[thread()] = local[thread() % 8];
}
CASE(local_beyond, Arrays& a) { return start(local_beyond, 0, a.out, 9); }

}  // namespace
