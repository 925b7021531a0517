// Device memory, and memory of the host that was asked for through the runtime.
#pragma once

#include <cstddef>

namespace cuda_emulation {

// Whether all of it lies in one piece of device memory.
bool on_device(const void* address, std::size_t bytes);

// The host must not touch device memory: the address sanitizer lets nobody at it but while one of these lives.
class OpenMemory {
 public:
  OpenMemory();
  ~OpenMemory();
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;
};

// A kernel reaches the memory of its own device only, while one of these lives in an open one: no device is another's peer.
class OwnMemory {
 public:
  explicit OwnMemory(int device);
  ~OwnMemory();
  OwnMemory(const OwnMemory&) = delete;
  OwnMemory& operator=(const OwnMemory&) = delete;

 private:
  int device_;
};

}  // namespace cuda_emulation
