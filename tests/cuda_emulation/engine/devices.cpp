#include "devices.hpp"

#include <cstdio>

#include "configuration.hpp"
#include "errors.hpp"

using namespace cuda_emulation;

namespace {

constexpr int version = 13000;  // of the runtime, and of a current driver
constexpr int old_version = 11040;
constexpr int multiprocessors = 2;

thread_local int current = 0;

bool known(int device) { return device >= 0 && device < configuration().devices; }

}  // namespace

int cuda_emulation::current_device() { return current; }

cudaError_t cudaRuntimeGetVersion(int* result) {
  *result = version;
  return cudaSuccess;
}

// Without a driver this is no error: the version is 0.
cudaError_t cudaDriverGetVersion(int* result) {
  const auto driver = configuration().driver;
  *result = driver == Configuration::Driver::current ? version : driver == Configuration::Driver::old ? old_version : 0;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  return call([&] {
    *count = configuration().devices;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return call([&] {
    *device = current;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return call([&] {
    if (!known(device)) return cudaErrorInvalidDevice;
    current = device;
    return cudaSuccess;
  });
}

// What another library of the process does, for programs in Python: they find it in the extension module. Returns the device before.
extern "C" __attribute__((visibility("default"))) int cuda_emulation_exchange_device(int device) {
  const int before = current;
  return cudaSetDevice(device) == cudaSuccess ? before : -1;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call([&] {
    if (!known(device)) return cudaErrorInvalidDevice;
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "emulated");
    properties->totalGlobalMem = configuration().memory;
    properties->sharedMemPerBlock = shared_by_default;
    properties->sharedMemPerBlockOptin = configuration().most_shared();
    properties->warpSize = warpSize;
    properties->maxThreadsPerBlock = 1024;
    properties->major = configuration().compute / 10;
    properties->minor = configuration().compute % 10;
    properties->multiProcessorCount = multiprocessors;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, device); error != cudaSuccess) return error;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = properties.maxThreadsPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = static_cast<int>(properties.sharedMemPerBlock); break;
    case cudaDevAttrWarpSize: *value = properties.warpSize; break;
    case cudaDevAttrMultiProcessorCount: *value = properties.multiProcessorCount; break;
    case cudaDevAttrComputeCapabilityMajor: *value = properties.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = properties.minor; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(properties.sharedMemPerBlockOptin); break;
    default: return remember(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}
