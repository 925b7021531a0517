// What the runtime refuses of the host's code, and what the host forgets.
#include <cstdio>

#include "cases.hpp"

using namespace cases;

namespace {

__global__ void ones(float* out) { out[thread()] = 1; }

CASE(too_many_threads, Arrays& a) { return gpu::launch(ones, dim3(1), dim3(2048), 0, nullptr, a.out); }
CASE(no_blocks, Arrays& a) { return gpu::launch(ones, dim3(0), dim3(threads), 0, nullptr, a.out); }

CASE(shared_without_permission, Arrays& a) {
  cudaLaunchConfig_t config{};
  config.gridDim = 1;
  config.blockDim = threads;
  config.dynamicSmemBytes = 60000;
  return cudaLaunchKernelEx(&config, ones, a.out);
}

// More than compute capability 7.5 has, less than 8.0.
CASE(shared_of_a_newer_device, Arrays& a) { return start(ones, 83000, a.out); }

CASE(copy_too_long, Arrays& a) {
  a.host.resize(threads + 1);
  return cudaMemcpy(a.host.data(), a.out, (threads + 1) * sizeof(float), cudaMemcpyDeviceToHost);
}
CASE(copy_in_the_wrong_direction, Arrays& a) {
  return cudaMemcpy(a.out, a.host.data(), threads * sizeof(float), cudaMemcpyDeviceToHost);
}
CASE(copy_rows_too_far, Arrays& a) {
  const std::size_t row = 8 * sizeof(float);
  return cudaMemcpy2DAsync(a.out, row, a.in, 2 * row, row, 8, cudaMemcpyDeviceToDevice);
}

CASE(double_free, Arrays& a) {
  float* const freed = a.in;
  cudaFree(a.in);
  a.in = nullptr;
  return cudaFree(freed);
}

CASE(never_freed, Arrays&) {
  float* forgotten = nullptr;
  return cudaMalloc(&forgotten, 100);
}

CASE(never_destroyed, Arrays&) {
  cudaStream_t stream = nullptr;
  return cudaStreamCreate(&stream);
}

CASE(destroyed_twice, Arrays&) {
  cudaEvent_t event = nullptr;
  cudaEventCreate(&event);
  cudaEventDestroy(event);
  return cudaEventDestroy(event);
}

CASE(untimed_event, Arrays&) {
  cudaEvent_t event = nullptr;
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  cudaEventRecord(event);
  float milliseconds = 0;
  const cudaError_t error = cudaEventElapsedTime(&milliseconds, event, event);
  cudaEventDestroy(event);
  return error;
}

// The host does not wait for its own stream, which the default stream does not wait for either.
CASE(no_wait, Arrays& a) {
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  const cudaError_t error = gpu::launch(ones, dim3(1), dim3(threads), 0, stream, a.out);
  cudaMemcpy(a.host.data(), a.out, threads * sizeof(float), cudaMemcpyDeviceToHost);
  std::printf("seen %g\n", static_cast<double>(a.host[0]));
  cudaStreamDestroy(stream);
  return error;
}

}  // namespace
