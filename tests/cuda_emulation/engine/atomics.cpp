// Atomic operations. They are truly atomic, as blocks may run on several threads of the system.
#include <algorithm>
#include <atomic>

#include "block.hpp"
#include "observer.hpp"

namespace cuda_emulation {

namespace {

void observe(void* address, std::size_t bytes, void* caller) {
  Observer* const checks = observer();
  if (checks == nullptr || running_block() == nullptr) return;
  const InEmulation inside(*running_block());
  checks->atomic(address, bytes, caller);
}

// The value that was there before.
template <class T, class Change>
T update(T* address, Change change) {
  std::atomic_ref<T> there(*address);
  T before = there.load();
  while (!there.compare_exchange_weak(before, change(before))) {
  }
  return before;
}

template <class T>
T integer(T* address, Atomic operation, T value, T expected) {
  return update(address, [=](T before) -> T {
    switch (operation) {
      case Atomic::add: return static_cast<T>(static_cast<std::make_unsigned_t<T>>(before) + static_cast<std::make_unsigned_t<T>>(value));
      case Atomic::exchange: return value;
      case Atomic::compare_and_swap: return before == expected ? value : before;
      case Atomic::largest: return std::max(before, value);
      default: return std::min(before, value);
    }
  });
}

template <class T>
std::uint64_t integer_bits(void* address, Atomic operation, std::uint64_t value, std::uint64_t expected) {
  return static_cast<std::uint64_t>(integer(static_cast<T*>(address), operation, static_cast<T>(value), static_cast<T>(expected)));
}

}  // namespace

std::uint64_t atomic_integer(void* address, std::size_t bytes, bool is_signed, Atomic operation, std::uint64_t value,
                             std::uint64_t expected) {
  observe(address, bytes, __builtin_return_address(0));
  if (bytes == 8) return integer_bits<std::uint64_t>(address, operation, value, expected);
  if (is_signed) return integer_bits<std::int32_t>(address, operation, value, expected);
  return integer_bits<std::uint32_t>(address, operation, value, expected);
}

float atomic_add(float* address, float value) {
  observe(address, sizeof *address, __builtin_return_address(0));
  return update(address, [=](float before) { return before + value; });
}

double atomic_add(double* address, double value) {
  observe(address, sizeof *address, __builtin_return_address(0));
  return update(address, [=](double before) { return before + value; });
}

}  // namespace cuda_emulation
