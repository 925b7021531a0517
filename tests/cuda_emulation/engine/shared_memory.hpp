// The shared memory of the block that runs: arrays with no-man's-land between them, filled with NaN when a block begins.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cuda_runtime.h"

namespace cuda_emulation {

class SharedMemory {
 public:
  SharedMemory();
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // `dynamic_bytes` and those of named arrays must not exceed `limit` together.
  void begin_block(std::uint64_t block, std::size_t dynamic_bytes, std::size_t limit);
  // Null where it cannot be; then complaint() says why.
  void* named(StaticSlot& slot, std::size_t bytes, std::size_t align);
  unsigned char* carve(std::size_t bytes, std::size_t& cursor);
  const std::string& complaint() const { return complaint_; }

  bool near(const void* address) const { return address >= arena_ && address < arena_ + arena_bytes; }
  bool holds(const void* address, std::size_t bytes) const;  // within one array
  std::size_t offset(const void* address) const { return static_cast<std::size_t>(static_cast<const char*>(address) - arena_); }

  static constexpr std::size_t arena_bytes = std::size_t{1} << 20;

 private:
  struct Array {
    char* address;
    std::size_t bytes;
  };
  char* place(std::vector<Array>& arrays, std::size_t offset, std::size_t bytes);

  char* arena_;
  std::uint64_t block_ = 0;
  std::size_t dynamic_bytes_ = 0, limit_ = 0, named_bytes_ = 0, named_end_ = 0;
  std::vector<Array> named_, carved_;
  std::string complaint_;
};

}  // namespace cuda_emulation
