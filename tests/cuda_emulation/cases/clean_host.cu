// Host code without a mistake: streams, events, rows, questions to the runtime.
#include <cstdio>
#include <cstring>

#include "cases.hpp"

using namespace cases;

namespace {

__global__ void add(float* out, const float* in, float value) { out[thread()] = in[thread()] + value; }

// The second stream waits for the first, the host for the second.
CASE(clean_streams, Arrays& a) {
  cudaStream_t first = nullptr, second = nullptr;
  cudaEvent_t event = nullptr, end = nullptr;
  cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
  cudaEventCreate(&event);
  cudaEventCreate(&end);
  gpu::launch(add, dim3(1), dim3(threads), 0, first, a.in, a.in, 1.0f);
  cudaEventRecord(event, first);
  cudaStreamWaitEvent(second, event);
  gpu::launch(add, dim3(1), dim3(threads), 0, second, a.out, a.in, 10.0f);
  cudaEventRecord(end, second);
  cudaError_t state = cudaSuccess;
  while ((state = cudaEventQuery(end)) == cudaErrorNotReady) cudaGetLastError();
  float milliseconds = -1;
  if (state == cudaSuccess) state = cudaEventElapsedTime(&milliseconds, event, end);
  if (milliseconds < 0) std::printf("no time\n");
  for (cudaStream_t stream : {first, second}) cudaStreamDestroy(stream);
  for (cudaEvent_t one : {event, end}) cudaEventDestroy(one);
  return state;
}

// The default stream waits for streams that do not refuse it, and they for it.
CASE(clean_default_stream, Arrays& a) {
  cudaStream_t stream = nullptr;
  cudaStreamCreate(&stream);
  gpu::launch(add, dim3(1), dim3(threads), 0, stream, a.in, a.in, 1.0f);
  gpu::launch(add, dim3(1), dim3(threads), 0, nullptr, a.in, a.in, 2.0f);
  gpu::launch(add, dim3(1), dim3(threads), 0, stream, a.out, a.in, 4.0f);
  cudaMemcpy(a.host.data(), a.out, threads * sizeof(float), cudaMemcpyDeviceToHost);
  std::printf("seen %g\n", static_cast<double>(a.host[0]));
  return cudaStreamDestroy(stream);
}

// 8 x 8 numbers: the left half of each row is copied to the right, and the left is cleared.
CASE(clean_rows, Arrays& a) {
  const std::size_t half = 4 * sizeof(float), row = 2 * half;
  cudaMemcpy2DAsync(a.out + 4, row, a.in, row, half, 8, cudaMemcpyDeviceToDevice);
  return cudaMemset2DAsync(a.out, row, 0, half, 8);
}

CASE(clean_arguments_by_address, Arrays& a) {
  float value = 3;
  const float* in = a.in;
  void* arguments[] = {&a.out, &in, &value};
  return cudaLaunchKernel(add, dim3(1), dim3(threads), arguments);
}

#define REQUIRE(holds) \
  if (!(holds)) std::printf("line %d: not %s\n", __LINE__, #holds)

CASE(clean_questions, Arrays& a) {
  cudaPointerAttributes attributes{};
  REQUIRE(cudaPointerGetAttributes(&attributes, a.out + 3) == cudaSuccess && attributes.type == cudaMemoryTypeDevice);
  REQUIRE(cudaPointerGetAttributes(&attributes, &attributes) == cudaSuccess && attributes.type == cudaMemoryTypeUnregistered);
  float* locked = nullptr;
  REQUIRE(cudaMallocHost(&locked, 100) == cudaSuccess);
  REQUIRE(cudaPointerGetAttributes(&attributes, locked) == cudaSuccess && attributes.type == cudaMemoryTypeHost);
  REQUIRE(cudaFreeHost(locked) == cudaSuccess);
  cudaFuncAttributes kernel{};
  REQUIRE(cudaFuncGetAttributes(&kernel, add) == cudaSuccess && kernel.maxThreadsPerBlock == 1024);
  REQUIRE(cudaFuncSetAttribute(add, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 << 10) == cudaSuccess);
  REQUIRE(cudaFuncSetAttribute(add, cudaFuncAttributeMaxDynamicSharedMemorySize, 300 << 10) == cudaErrorInvalidValue);
  REQUIRE(cudaGetLastError() == cudaErrorInvalidValue && cudaGetLastError() == cudaSuccess);
  REQUIRE(cudaStreamQuery(nullptr) == cudaSuccess && cudaStreamSynchronize(cudaStreamLegacy) == cudaSuccess);
  REQUIRE(cudaSetDevice(7) == cudaErrorInvalidDevice && cudaPeekAtLastError() == cudaErrorInvalidDevice);
  REQUIRE(std::strcmp(cudaGetErrorName(cudaErrorNoDevice), "cudaErrorNoDevice") == 0);
  REQUIRE(std::strcmp(cudaGetErrorString(cudaErrorNoDevice), "no CUDA-capable device is detected") == 0);
  REQUIRE(cudaGetLastError() == cudaErrorInvalidDevice);
  return cudaSuccess;
}

// What the environment says of the machine.
CASE(clean_machine, Arrays&) {
  int driver = -1, runtime = -1, count = -1, sm = -1, shared = -1;
  std::size_t free = 0, total = 0;
  cudaDeviceProp properties{};
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  cudaGetDeviceCount(&count);
  cudaGetDeviceProperties(&properties, 0);
  cudaDeviceGetAttribute(&sm, cudaDevAttrComputeCapabilityMajor, 0);
  cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0);
  cudaMemGetInfo(&free, &total);
  std::printf("driver %d runtime %d devices %d name %s sm %d%d %d shared %d %zu memory %zu %zu used %zu\n", driver, runtime, count,
              properties.name, properties.major, properties.minor, sm, shared, properties.sharedMemPerBlockOptin, total,
              properties.totalGlobalMem, total - free);
  float* all = nullptr;
  const cudaError_t more = cudaMalloc(&all, free + 1);
  const cudaError_t exactly = cudaMalloc(&all, free);
  std::printf("one byte more: %s; exactly: %s\n", cudaGetErrorName(more), cudaGetErrorName(exactly));
  return cudaFree(all);
}

}  // namespace
