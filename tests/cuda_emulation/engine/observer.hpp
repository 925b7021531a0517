// What the checks of the checked build are told. Without them nobody observes.
#pragma once

#include <cstddef>

namespace cuda_emulation {

class Block;

class Observer {
 public:
  virtual void launch_begins() = 0;
  virtual void block_begins(const Block& block) = 0;
  virtual void lanes_meet(int warp, unsigned mask) = 0;
  virtual void allocated(void* address, std::size_t bytes) = 0;
  virtual void freed(void* address) = 0;
  virtual void written(void* to, std::size_t bytes) = 0;                     // by the host
  virtual void copied(void* to, const void* from, std::size_t bytes) = 0;  // on the device
  virtual void atomic(void* address, std::size_t bytes, void* caller) = 0;

 protected:
  ~Observer() = default;
};

// Null without checks.
Observer* observer();

}  // namespace cuda_emulation
