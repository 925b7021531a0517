#include "devices.hpp"

#include "check.hpp"

namespace erffast::cuda {
namespace {

int attribute_of_device(cudaDeviceAttr attribute, const char* doing) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, attribute, current_device()), doing);
  return value;
}

int multiprocessors() { return attribute_of_device(cudaDevAttrMultiProcessorCount, "asking for its multiprocessors"); }

}  // namespace

Devices devices() {
  Devices result{cudaSuccess, 0, 0, {}};
  cudaRuntimeGetVersion(&result.runtime);
  cudaDriverGetVersion(&result.driver);
  int count = 0;
  result.error = cudaGetDeviceCount(&count);
  if (result.error != cudaSuccess) cudaGetLastError();
  for (int i = 0; i < count && result.error == cudaSuccess; ++i) {
    cudaDeviceProp p{};
    result.error = cudaGetDeviceProperties(&p, i);
    result.found.push_back({p.name, p.major, p.minor, p.multiProcessorCount, static_cast<Index>(p.totalGlobalMem)});
  }
  if (result.error == cudaSuccess && result.found.empty()) result.error = cudaErrorNoDevice;
  return result;
}

Limits limits_of_device() {
  return {attribute_of_device(cudaDevAttrMaxSharedMemoryPerBlockOptin, "asking for its shared memory"), multiprocessors()};
}

Index launch_work() { return multiprocessors() * Index{150'000'000}; }

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "asking for the device");
  return device;
}

int device_of(const void* memory) {
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, memory), "asking where memory stands");
  return attributes.device;
}

// To set a device may begin its work on the device, so it is only set where it is another one.
OnDevice::OnDevice(int device) : before_(current_device()) {
  if (device != before_) check(cudaSetDevice(device), "choosing a device");
}

OnDevice::~OnDevice() {
  int now = before_;
  if (cudaGetDevice(&now) == cudaSuccess && now != before_) cudaSetDevice(before_);
}

FreeMemory free_memory() {
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for its memory");
  return {static_cast<Index>(free), static_cast<Index>(total)};
}

}  // namespace erffast::cuda
