// What GPUs there are, and why there are none; what is asked of the current one.
#pragma once

#include <cuda_runtime.h>

#include <string>
#include <vector>

#include "erffast/step.hpp"

namespace erffast::cuda {

struct Device {
  std::string name;
  int major, minor;      // compute capability
  int multiprocessors;
  Index memory;          // bytes
};

struct Devices {
  cudaError_t error;     // of asking; cudaSuccess where there is a device
  int driver, runtime;   // CUDA versions, 1000 * major + 10 * minor; driver 0: there is none
  std::vector<Device> found;
};

// Never throws: without a driver or a device it says so. Does not touch a device's memory.
Devices devices();

// What plans look at, of the current device. Throws DeviceError.
struct Limits {
  Index shared_memory;   // bytes that a block may ask for
  int multiprocessors;
};
Limits limits_of_device();

// Multiply-adds, or what takes as long, of a launch on the current device: no more than some 50 ms where double precision is slow, two
// lanes a multiprocessor and clock. Kernels cannot be stopped. Throws DeviceError.
Index launch_work();

// Which device is current for this host thread, and on which one memory stands. Throw DeviceError.
int current_device();
int device_of(const void* memory);

// The current device belongs to the host thread, and other libraries of the process set it as well: whatever goes on with what an
// earlier call left on a device makes that one current, for as long as this lives.
class OnDevice {
 public:
  explicit OnDevice(int device);
  OnDevice(const OnDevice&) = delete;
  ~OnDevice();

 private:
  int before_;
};

// Bytes free and in all on the current device. Throws DeviceError.
struct FreeMemory {
  Index free, total;
};
FreeMemory free_memory();

}  // namespace erffast::cuda
