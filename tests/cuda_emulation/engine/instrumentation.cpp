// What the compiler calls in code compiled with -fsanitize=thread. The library behind it follows threads of the system, and is not
// linked; these functions take its place.
#include <cstddef>
#include <cstdint>

#include "checker.hpp"

using cuda_emulation::check_access;

extern "C" {

#define CUDA_EMULATION_ACCESSES(kind, bytes)                                                                            \
  void __tsan_##kind##read##bytes(void* address) { check_access(address, bytes, false, __builtin_return_address(0)); } \
  void __tsan_##kind##write##bytes(void* address) { check_access(address, bytes, true, __builtin_return_address(0)); }
#define CUDA_EMULATION_SIZES(kind)   \
  CUDA_EMULATION_ACCESSES(kind, 1)   \
  CUDA_EMULATION_ACCESSES(kind, 2)   \
  CUDA_EMULATION_ACCESSES(kind, 4)   \
  CUDA_EMULATION_ACCESSES(kind, 8)   \
  CUDA_EMULATION_ACCESSES(kind, 16)
CUDA_EMULATION_SIZES()
CUDA_EMULATION_SIZES(unaligned_)
CUDA_EMULATION_SIZES(volatile_)

void __tsan_read_range(void* address, std::size_t bytes) { check_access(address, bytes, false, __builtin_return_address(0)); }
void __tsan_write_range(void* address, std::size_t bytes) { check_access(address, bytes, true, __builtin_return_address(0)); }

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit(void*) {}
void __tsan_vptr_read(void*) {}
void __tsan_vptr_update(void*, void*) {}

// Atomic operations of the host's code, such as those of shared_ptr: done, and no more.
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
#define CUDA_EMULATION_FETCH(T, bits, operation)                                \
  T __tsan_atomic##bits##_fetch_##operation(volatile T* address, T value, int) { \
    return __atomic_fetch_##operation(address, value, __ATOMIC_SEQ_CST);         \
  }
#define CUDA_EMULATION_EXCHANGE(T, bits, strength)                                                                          \
  bool __tsan_atomic##bits##_compare_exchange_##strength(volatile T* address, T* expected, T value, int, int) {             \
    return __atomic_compare_exchange_n(address, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                \
  }
#define CUDA_EMULATION_ATOMICS(T, bits)                                                                                     \
  T __tsan_atomic##bits##_load(const volatile T* address, int) { return __atomic_load_n(address, __ATOMIC_SEQ_CST); }       \
  void __tsan_atomic##bits##_store(volatile T* address, T value, int) { __atomic_store_n(address, value, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_exchange(volatile T* address, T value, int) {                                                     \
    return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST);                                                           \
  }                                                                                                                         \
  CUDA_EMULATION_EXCHANGE(T, bits, strong)                                                                                  \
  CUDA_EMULATION_EXCHANGE(T, bits, weak)                                                                                    \
  CUDA_EMULATION_FETCH(T, bits, add)                                                                                        \
  CUDA_EMULATION_FETCH(T, bits, sub)                                                                                        \
  CUDA_EMULATION_FETCH(T, bits, and)                                                                                        \
  CUDA_EMULATION_FETCH(T, bits, or)                                                                                         \
  CUDA_EMULATION_FETCH(T, bits, xor)
CUDA_EMULATION_ATOMICS(std::uint8_t, 8)
CUDA_EMULATION_ATOMICS(std::uint16_t, 16)
CUDA_EMULATION_ATOMICS(std::uint32_t, 32)
CUDA_EMULATION_ATOMICS(std::uint64_t, 64)

}  // extern "C"
