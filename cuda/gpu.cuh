// The only file that knows which compiler it meets: nvcc, or a C++ compiler with the emulation of tests/cuda_emulation, which runs
// the same kernels where there is no GPU.
//
// What kernels keep to, so that both run them: shared memory is declared with GPU_SHARED or taken from SharedMemory; no thread
// returns before a barrier that others reach; full masks in shuffles; nobody spins on another thread; no inline assembly.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

// GPU_SHARED(double, tile, [8][32]): an array of the block. It begins at a multiple of 16 bytes, so that numbers are read in pairs.
#if defined(ERFFAST_CUDA_EMULATION)

#define GPU_UNROLL
#define GPU_ROLLED
#define GPU_SHARED(T, name, dims)                              \
  static thread_local cuda_emulation::StaticSlot name##_slot;  \
  using name##_type = T dims;                                  \
  name##_type& name = *static_cast<name##_type*>(cuda_emulation::shared_static(name##_slot, sizeof(name##_type), 16))

#else

#define GPU_UNROLL _Pragma("unroll")
#define GPU_ROLLED _Pragma("unroll 1")  // where a loop taken apart would take too many registers
#define GPU_SHARED(T, name, dims) __shared__ __align__(16) T name dims

#endif

namespace erffast::cuda {

// The dynamic shared memory of a launch, cut into arrays: the same calls in the same order in every thread of the block. Each array
// begins at a multiple of 16 bytes; `shared_bytes` tells the host how much it takes.
class SharedMemory {
 public:
#if defined(ERFFAST_CUDA_EMULATION)
  template <class T>
  T* take(int n) {
    return reinterpret_cast<T*>(cuda_emulation::carve(static_cast<std::size_t>(n) * sizeof(T), cursor_));
  }

 private:
  std::size_t cursor_ = 0;
#else
  __device__ SharedMemory() {
    extern __shared__ __align__(16) unsigned char erffast_dynamic_shared[];
    next_ = erffast_dynamic_shared;
  }
  template <class T>
  __device__ T* take(int n) {
    T* first = reinterpret_cast<T*>(next_);
    next_ += (static_cast<std::size_t>(n) * sizeof(T) + 15) / 16 * 16;
    return first;
  }

 private:
  unsigned char* next_;
#endif
};

constexpr std::size_t shared_bytes(std::size_t n, std::size_t size) { return (n * size + 15) / 16 * 16; }

// kernel<<<grid, block, shared, stream>>>(arguments...), in words that both compilers read. The largest share of shared memory that
// a launch may ask for without permission is 48 KiB. The permission is the kernel's, not the launch's, so all that the device has is
// asked for: another host thread may be about to launch the same kernel with more. Such kernels declare nothing with GPU_SHARED,
// which would have to be left room for.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared, cudaStream_t stream, Arguments... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  if (shared > std::size_t{48} << 10) {
    int device = 0, most = 0;
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (error == cudaSuccess) error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
    if (error != cudaSuccess) return error;
  }
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

}  // namespace erffast::cuda
