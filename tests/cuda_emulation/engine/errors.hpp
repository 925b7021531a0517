// What the emulation found, and what the runtime remembers of errors.
#pragma once

#include <mutex>
#include <string>

#include "cuda_runtime.h"

namespace cuda_emulation {

// Prints a line, and breaks the device: from now on every call returns cudaErrorLaunchFailure, as after a fault on a real one.
void report(const std::string& finding);
// The same line where the device goes on, for what only shows when the program ends.
void print_finding(const std::string& finding);
// cudaSuccess until something was reported.
cudaError_t broken();

// What cudaGetLastError will tell this thread. Returns `error`.
cudaError_t remember(cudaError_t error);
// Whether there is a driver and a device at all.
cudaError_t unavailable();
// One call of the runtime at a time: the emulation has one device, and programs may call from many threads.
std::recursive_mutex& runtime_mutex();

// The body of a call of the runtime that needs a device.
template <class Body>
cudaError_t call(Body&& body) {
  const std::scoped_lock lock(runtime_mutex());
  if (const cudaError_t error = unavailable(); error != cudaSuccess) return remember(error);
  if (const cudaError_t error = broken(); error != cudaSuccess) return error;
  return remember(body());
}

}  // namespace cuda_emulation
