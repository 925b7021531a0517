// What the threads of a block do together: shared memory, barriers, warps, atomic operations.
#pragma once

#include <bit>
#include <source_location>
#include <type_traits>

#include "language.h"

// Where a barrier stands in the source: threads that wait for each other must wait at the same place.
#define CUDA_EMULATION_SITE std::source_location site = std::source_location::current()

namespace cuda_emulation {

// Where an array declared with GPU_SHARED lies in the block of this serial number.
struct StaticSlot {
  std::uint64_t block = 0;
  void* address = nullptr;
};
void* shared_static(StaticSlot& slot, std::size_t bytes, std::size_t align);
// The next array of the dynamic shared memory. The cursor is the calling thread's own, and begins with 0.
unsigned char* carve(std::size_t bytes, std::size_t& cursor);

enum class Vote { none, count, all, any };
int block_barrier(int predicate, Vote vote, std::source_location site);

struct Exchanged {
  std::uint64_t value;  // what the source lane brought; all ones where it takes no part
  unsigned ballot;      // the lanes that brought something other than zero
};
Exchanged warp_exchange(unsigned mask, std::uint64_t value, unsigned source, std::source_location site);
unsigned lane();

enum class Atomic { add, exchange, compare_and_swap, largest, least };
// The value that was there before, as bits.
std::uint64_t atomic_integer(void* address, std::size_t bytes, bool is_signed, Atomic operation, std::uint64_t value, std::uint64_t expected);
float atomic_add(float* address, float value);
double atomic_add(double* address, double value);

template <class T>
concept Shuffled = std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8);

template <Shuffled T>
T shuffle(unsigned mask, T value, int source, bool in_range, std::source_location site) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  const unsigned from = in_range ? static_cast<unsigned>(source) : lane();
  return std::bit_cast<T>(static_cast<Bits>(warp_exchange(mask, std::bit_cast<Bits>(value), from, site).value));
}

template <class T>
__forceinline__ T atomic(T* address, Atomic operation, T value, T expected = 0) {
  return static_cast<T>(atomic_integer(address, sizeof(T), std::is_signed_v<T>, operation, static_cast<std::uint64_t>(value),
                                       static_cast<std::uint64_t>(expected)));
}

}  // namespace cuda_emulation

inline void __syncthreads(CUDA_EMULATION_SITE) { cuda_emulation::block_barrier(0, cuda_emulation::Vote::none, site); }
inline int __syncthreads_count(int predicate, CUDA_EMULATION_SITE) {
  return cuda_emulation::block_barrier(predicate, cuda_emulation::Vote::count, site);
}
inline int __syncthreads_and(int predicate, CUDA_EMULATION_SITE) {
  return cuda_emulation::block_barrier(predicate, cuda_emulation::Vote::all, site);
}
inline int __syncthreads_or(int predicate, CUDA_EMULATION_SITE) {
  return cuda_emulation::block_barrier(predicate, cuda_emulation::Vote::any, site);
}

inline void __syncwarp(unsigned mask = ~0u, CUDA_EMULATION_SITE) { cuda_emulation::warp_exchange(mask, 0, 0, site); }
inline unsigned __ballot_sync(unsigned mask, int predicate, CUDA_EMULATION_SITE) {
  return cuda_emulation::warp_exchange(mask, predicate != 0, 0, site).ballot;
}
inline int __any_sync(unsigned mask, int predicate, CUDA_EMULATION_SITE) { return __ballot_sync(mask, predicate, site) != 0; }
inline int __all_sync(unsigned mask, int predicate, CUDA_EMULATION_SITE) { return __ballot_sync(mask, predicate == 0, site) == 0; }

template <cuda_emulation::Shuffled T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, CUDA_EMULATION_SITE) {
  const int me = static_cast<int>(cuda_emulation::lane());
  return cuda_emulation::shuffle(mask, value, (me & ~(width - 1)) | (source & (width - 1)), true, site);
}
template <cuda_emulation::Shuffled T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_EMULATION_SITE) {
  const int me = static_cast<int>(cuda_emulation::lane()), step = static_cast<int>(delta);
  return cuda_emulation::shuffle(mask, value, me + step, (me & (width - 1)) + step < width, site);
}
template <cuda_emulation::Shuffled T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_EMULATION_SITE) {
  const int me = static_cast<int>(cuda_emulation::lane()), step = static_cast<int>(delta);
  return cuda_emulation::shuffle(mask, value, me - step, (me & (width - 1)) >= step, site);
}
template <cuda_emulation::Shuffled T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CUDA_EMULATION_SITE) {
  const int me = static_cast<int>(cuda_emulation::lane());
  return cuda_emulation::shuffle(mask, value, me ^ bits, (me ^ bits) < (me & ~(width - 1)) + width, site);
}

#undef CUDA_EMULATION_SITE

// Inlined even where nothing else is, so that a finding names the line of the kernel.
__forceinline__ float atomicAdd(float* address, float value) { return cuda_emulation::atomic_add(address, value); }
__forceinline__ double atomicAdd(double* address, double value) { return cuda_emulation::atomic_add(address, value); }
#define CUDA_EMULATION_ATOMICS(T)                                                                                             \
  __forceinline__ T atomicExch(T* address, T value) { return cuda_emulation::atomic(address, cuda_emulation::Atomic::exchange, value); } \
  __forceinline__ T atomicMax(T* address, T value) { return cuda_emulation::atomic(address, cuda_emulation::Atomic::largest, value); }   \
  __forceinline__ T atomicMin(T* address, T value) { return cuda_emulation::atomic(address, cuda_emulation::Atomic::least, value); }
#define CUDA_EMULATION_SUMS(T)                                                                                           \
  __forceinline__ T atomicAdd(T* address, T value) { return cuda_emulation::atomic(address, cuda_emulation::Atomic::add, value); } \
  __forceinline__ T atomicCAS(T* address, T expected, T value) {                                                                  \
    return cuda_emulation::atomic(address, cuda_emulation::Atomic::compare_and_swap, value, expected);                   \
  }
CUDA_EMULATION_ATOMICS(int)
CUDA_EMULATION_ATOMICS(unsigned int)
CUDA_EMULATION_ATOMICS(unsigned long long int)
CUDA_EMULATION_SUMS(int)
CUDA_EMULATION_SUMS(unsigned int)
CUDA_EMULATION_SUMS(unsigned long long int)
#undef CUDA_EMULATION_ATOMICS
#undef CUDA_EMULATION_SUMS
