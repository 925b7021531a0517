#include "shared_memory.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "devices.hpp"
#include "sanitizer.hpp"

namespace cuda_emulation {

namespace {

constexpr std::size_t gap = 64;  // between two arrays
constexpr std::size_t dynamic_begin = SharedMemory::arena_bytes / 2;

constexpr std::size_t rounded(std::size_t bytes, std::size_t align) { return (bytes + align - 1) / align * align; }

}  // namespace

SharedMemory::SharedMemory() {
  void* const arena = mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (arena == MAP_FAILED) {
    std::perror("cuda emulation: no memory for shared memory");
    std::abort();
  }
  arena_ = static_cast<char*>(arena);
  poison(arena_, arena_bytes);
}

SharedMemory::~SharedMemory() {
  unpoison(arena_, arena_bytes);
  munmap(arena_, arena_bytes);
}

void SharedMemory::begin_block(std::uint64_t block, std::size_t dynamic_bytes, std::size_t limit) {
  for (auto* arrays : {&named_, &carved_}) {
    for (const Array& array : *arrays) poison(array.address, rounded(array.bytes, 8));
    arrays->clear();
  }
  block_ = block;
  dynamic_bytes_ = dynamic_bytes;
  limit_ = limit;
  named_bytes_ = named_end_ = 0;
}

char* SharedMemory::place(std::vector<Array>& arrays, std::size_t offset, std::size_t bytes) {
  char* const address = arena_ + offset;
  unpoison(address, bytes);
  std::memset(address, 0xff, bytes);  // NaN; -1 as an integer
  arrays.push_back({address, bytes});
  return address;
}

void* SharedMemory::named(StaticSlot& slot, std::size_t bytes, std::size_t align) {
  if (slot.block == block_) return slot.address;
  const std::size_t offset = rounded(named_end_, align);
  named_bytes_ += rounded(bytes, 16);
  named_end_ = offset + bytes + gap;
  if (named_bytes_ > shared_by_default || named_bytes_ + dynamic_bytes_ > limit_ || named_end_ > dynamic_begin) {
    complaint_ = "too much shared memory: " + std::to_string(named_bytes_) + " bytes of named arrays, " + std::to_string(dynamic_bytes_) +
                 " dynamic; the block may have " + std::to_string(limit_) + ", named arrays " + std::to_string(shared_by_default);
    return nullptr;
  }
  slot.block = block_;
  return slot.address = place(named_, offset, bytes);
}

// The cursor holds the bytes taken in its lower half and the number of arrays in its upper half.
unsigned char* SharedMemory::carve(std::size_t bytes, std::size_t& cursor) {
  const std::size_t taken = cursor & 0xffffffff, count = cursor >> 32;
  if (taken + bytes > dynamic_bytes_) {
    complaint_ = "dynamic shared memory: " + std::to_string(taken + bytes) + " bytes are taken, the launch gave " + std::to_string(dynamic_bytes_);
    return nullptr;
  }
  cursor = rounded(taken + bytes, 16) | (count + 1) << 32;
  const std::size_t offset = dynamic_begin + taken + count * gap;
  if (count == carved_.size()) return reinterpret_cast<unsigned char*>(place(carved_, offset, bytes));
  if (carved_[count].address != arena_ + offset || carved_[count].bytes != bytes) {
    complaint_ = "dynamic shared memory: two threads of the block take it in different pieces";
    return nullptr;
  }
  return reinterpret_cast<unsigned char*>(arena_ + offset);
}

bool SharedMemory::holds(const void* address, std::size_t bytes) const {
  const char* const first = static_cast<const char*>(address);
  for (const auto* arrays : {&named_, &carved_})
    for (const Array& array : *arrays)
      if (first >= array.address && first + bytes <= array.address + array.bytes) return true;
  return false;
}

}  // namespace cuda_emulation
