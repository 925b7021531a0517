// What the environment asks of the emulation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cuda_emulation {

struct Configuration {
  enum class Order { forward, reverse, random };
  enum class Driver { current, old, none };

  Order order = Order::forward;  // ERFFAST_EMULATED_ORDER: in which the threads of a block, and the blocks, run
  std::uint64_t seed = 1;
  int threads = 1;                         // ERFFAST_EMULATED_THREADS: of the system, that run blocks
  int compute = 75;                        // ERFFAST_EMULATED_SM: compute capability, 10 * major + minor
  bool deferred = false;                   // ERFFAST_EMULATED_STREAMS=deferred: nothing runs before it is waited for
  std::size_t memory = std::size_t{2} << 30;  // ERFFAST_EMULATED_MEMORY: bytes of a device
  int devices = 1;                         // ERFFAST_EMULATED_DEVICES
  Driver driver = Driver::current;         // ERFFAST_EMULATED_DRIVER

  // Bytes of shared memory that one block may have when the launch asks for it.
  std::size_t most_shared() const;
};

// Read once, when first asked for. What cannot be understood ends the program.
const Configuration& configuration();

}  // namespace cuda_emulation
