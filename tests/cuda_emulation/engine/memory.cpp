#include "memory.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>

#include "configuration.hpp"
#include "devices.hpp"
#include "errors.hpp"
#include "observer.hpp"
#include "sanitizer.hpp"

namespace cuda_emulation {

namespace {

struct Piece {
  std::size_t bytes;
  int device;
};

class Pieces {
 public:
  explicit Pieces(const char* what) : what_(what) {}
  // Memory that nobody can free any more, when the program ends.
  ~Pieces() {
    if (!pieces_.empty() && broken() == cudaSuccess)
      print_finding(std::to_string(used(-1)) + " bytes of " + what_ + " were never freed, in " + std::to_string(pieces_.size()) + " pieces");
  }
  Pieces(const Pieces&) = delete;
  Pieces& operator=(const Pieces&) = delete;

  void add(void* address, Piece piece) { pieces_.emplace(static_cast<char*>(address), piece); }
  bool remove(void* address) { return pieces_.erase(static_cast<char*>(address)) == 1; }
  // The piece that holds all of it, and its address; null: none.
  const std::pair<char* const, Piece>* holding(const void* address, std::size_t bytes) const {
    char* const first = static_cast<char*>(const_cast<void*>(address));
    auto after = pieces_.upper_bound(first);
    if (after == pieces_.begin()) return nullptr;
    --after;
    return first + bytes <= after->first + after->second.bytes && first < after->first + after->second.bytes ? &*after : nullptr;
  }
  std::size_t used(int device) const {
    std::size_t bytes = 0;
    for (const auto& [address, piece] : pieces_)
      if (device < 0 || piece.device == device) bytes += piece.bytes;
    return bytes;
  }
  const std::map<char*, Piece>& all() const { return pieces_; }

 private:
  const char* what_;
  std::map<char*, Piece> pieces_;
};

Pieces& device_memory() {
  static Pieces pieces("device memory");
  return pieces;
}

Pieces& host_memory() {
  static Pieces pieces("page-locked memory");
  return pieces;
}

int open_count = 0;

std::size_t free_bytes(int device) { return configuration().memory - device_memory().used(device); }

// Exactly as large as asked for, so that the sanitizer knows its end; 256 is what CUDA aligns to.
cudaError_t allocate(Pieces& pieces, void** address, std::size_t bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 256, bytes) != 0) return cudaErrorMemoryAllocation;
  std::memset(memory, 0xff, bytes);  // NaN; -1 as an integer
  pieces.add(memory, {bytes, current_device()});
  *address = memory;
  return cudaSuccess;
}

}  // namespace

bool on_device(const void* address, std::size_t bytes) { return device_memory().holding(address, bytes) != nullptr; }

OpenMemory::OpenMemory() {
  if (open_count++ > 0) return;
  for (const auto& [address, piece] : device_memory().all()) unpoison(address, piece.bytes);
}

OpenMemory::~OpenMemory() {
  if (--open_count > 0) return;
  for (const auto& [address, piece] : device_memory().all()) poison(address, piece.bytes);
}

OwnMemory::OwnMemory(int device) : device_(device) {
  for (const auto& [address, piece] : device_memory().all())
    if (piece.device != device_) poison(address, piece.bytes);
}

OwnMemory::~OwnMemory() {
  for (const auto& [address, piece] : device_memory().all())
    if (piece.device != device_) unpoison(address, piece.bytes);
}

}  // namespace cuda_emulation

using namespace cuda_emulation;

cudaError_t cudaMalloc(void** address, std::size_t bytes) {
  return call([&] {
    *address = nullptr;
    if (bytes == 0) return cudaSuccess;
    if (bytes > free_bytes(current_device())) return cudaErrorMemoryAllocation;
    const cudaError_t error = allocate(device_memory(), address, bytes);
    if (error != cudaSuccess) return error;
    if (Observer* const checks = observer()) checks->allocated(*address, bytes);
    poison(*address, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaFree(void* address) {
  if (const cudaError_t error = cudaDeviceSynchronize(); error != cudaSuccess || address == nullptr) return error;
  return call([&] {
    const auto* const piece = device_memory().holding(address, 1);
    if (piece == nullptr || piece->first != address) return cudaErrorInvalidValue;
    unpoison(address, piece->second.bytes);
    device_memory().remove(address);
    if (Observer* const checks = observer()) checks->freed(address);
    std::free(address);
    return cudaSuccess;
  });
}

cudaError_t cudaMallocHost(void** address, std::size_t bytes) {
  return call([&] {
    *address = nullptr;
    return bytes == 0 ? cudaSuccess : allocate(host_memory(), address, bytes);
  });
}

cudaError_t cudaFreeHost(void* address) {
  if (const cudaError_t error = cudaDeviceSynchronize(); error != cudaSuccess || address == nullptr) return error;
  return call([&] {
    if (!host_memory().remove(address)) return cudaErrorInvalidValue;
    std::free(address);
    return cudaSuccess;
  });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return call([&] {
    *total = configuration().memory;
    *free = free_bytes(current_device());
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  return call([&] {
    void* const pointer = const_cast<void*>(address);
    *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, pointer};
    if (const auto* const device = device_memory().holding(address, 1)) *attributes = {cudaMemoryTypeDevice, device->second.device, pointer, nullptr};
    if (const auto* const host = host_memory().holding(address, 1)) *attributes = {cudaMemoryTypeHost, host->second.device, pointer, pointer};
    return cudaSuccess;
  });
}
