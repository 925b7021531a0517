// What a call of the CUDA runtime returned, as an exception that names the call.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace erffast::cuda {

// The GPU or its driver failed. Nothing is tried again, and nothing falls back to the CPU.
struct DeviceError : std::runtime_error {
  DeviceError(cudaError_t error, const char* doing)
      : std::runtime_error(std::string("the GPU failed while ") + doing + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")"),
        code(error) {}
  explicit DeviceError(const std::string& what) : std::runtime_error(what), code(cudaErrorUnknown) {}  // of a library
  cudaError_t code;
};

// `doing` completes "the GPU failed while ...".
inline void check(cudaError_t error, const char* doing) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // an error that does not last is not to be found again by the next call
  throw DeviceError(error, doing);
}

}  // namespace erffast::cuda
