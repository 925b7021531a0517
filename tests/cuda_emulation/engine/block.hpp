// One block at a time on one thread of the system: its threads are fibers, which take turns where they wait for each other.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "configuration.hpp"
#include "cuda_runtime.h"
#include "fibers.hpp"
#include "shared_memory.hpp"

namespace cuda_emulation {

struct Grid {
  dim3 grid, block;
  std::size_t dynamic_bytes, shared_limit;
  std::uint64_t launch;  // its number
  Invocation invocation;
};

class Block {
 public:
  Block() : fibers_([this] { run_thread(); }) {}

  // Runs the blocks that next() names, until it names none below the number of blocks.
  void run(const Grid& grid, const std::function<std::uint64_t()>& next);

  // Called by the threads of the block.
  int barrier(int predicate, Vote vote, std::source_location site);
  Exchanged exchange(unsigned mask, std::uint64_t value, unsigned source, std::source_location site);
  void* shared_static(StaticSlot& slot, std::size_t bytes, std::size_t align);
  unsigned char* carve(std::size_t bytes, std::size_t& cursor);
  // Reports what the running thread did wrong, with its name, and ends the launch. Does not return.
  void fail(const std::string& what);

  std::string name() const;  // of the block and thread that run
  int thread() const { return current_; }
  int threads() const { return static_cast<int>(threads_.size()); }
  std::uint64_t serial() const { return serial_; }  // no other block has the same
  std::uint64_t phase() const { return phase_; }    // barriers passed
  const SharedMemory& shared() const { return shared_; }
  bool own(const void* address, std::size_t bytes) const;  // on the thread's stack, or a parameter
  // Whether the kernel's own code runs, and not the emulation on its behalf.
  bool in_kernel() const { return in_kernel_; }
  void set_in_kernel(bool value) { in_kernel_ = value; }

 private:
  enum class State : std::uint8_t { ready, at_barrier, at_warp, ended };
  struct Thread {
    uint3 index{};
    Stack* stack = nullptr;
    State state = State::ready;
    std::source_location site;
    int predicate = 0;
    unsigned mask = 0, source = 0;
    std::uint64_t value = 0;
    Exchanged received{};
  };

  void begin_grid(const Grid& grid);
  void run_block(const Grid& grid, std::uint64_t index);
  void begin_block(const Grid& grid, std::uint64_t index);
  void run_thread();
  void thread_ends();

  void wait();
  void resume(int thread);
  void become(int thread);
  void push(int thread);
  int pop();
  void release_barrier();
  void release_warp(int warp);
  unsigned arrived_with(int thread) const;
  void hand_out(int warp, unsigned mask);
  void deadlock();

  Thread& running() { return threads_[static_cast<std::size_t>(current_)]; }
  Thread& at(int thread) { return threads_[static_cast<std::size_t>(thread)]; }
  const Thread& at(int thread) const { return threads_[static_cast<std::size_t>(thread)]; }

  Fibers fibers_;
  SharedMemory shared_;
  std::vector<Thread> threads_;
  std::vector<int> order_;                  // in which threads run
  std::vector<int> queue_;                  // a ring of those that can run
  std::vector<unsigned> waiting_, living_;  // lanes of each warp
  std::size_t head_ = 0, queued_ = 0;
  int current_ = -1, remaining_ = 0, arrived_ = 0, first_arrived_ = 0;
  int votes_[4] = {};
  bool in_kernel_ = false, failed_ = false;
  std::uint64_t serial_ = 0, phase_ = 0, random_ = 1;
  Invocation invocation_{};
};

// The block that runs on this thread of the system, or null.
Block* running_block();

// The emulation working on behalf of the kernel, while it lives.
class InEmulation {
 public:
  explicit InEmulation(Block& block) : block_(block) { block_.set_in_kernel(false); }
  ~InEmulation() { block_.set_in_kernel(true); }
  InEmulation(const InEmulation&) = delete;
  InEmulation& operator=(const InEmulation&) = delete;

 private:
  Block& block_;
};

std::string describe(const std::source_location& site);
bool same_site(const std::source_location& a, const std::source_location& b);

}  // namespace cuda_emulation
