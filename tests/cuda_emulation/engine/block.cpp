#include "block.hpp"

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <cstring>
#include <utility>

#include "errors.hpp"
#include "observer.hpp"

namespace cuda_emulation {

namespace {

constinit thread_local Block* active = nullptr;

// Denormals are kept, as on a device, whatever the host's threads are set to.
class DeviceArithmetic {
 public:
  DeviceArithmetic() {
    std::fegetenv(&found_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DeviceArithmetic() { std::fesetenv(&found_); }
  DeviceArithmetic(const DeviceArithmetic&) = delete;
  DeviceArithmetic& operator=(const DeviceArithmetic&) = delete;

 private:
  std::fenv_t found_;
};

std::string triple(unsigned x, unsigned y, unsigned z) {
  return "(" + std::to_string(x) + "," + std::to_string(y) + "," + std::to_string(z) + ")";
}

}  // namespace

Block* running_block() { return active; }

std::string describe(const std::source_location& site) {
  return std::string(site.file_name()) + ":" + std::to_string(site.line()) + ":" + std::to_string(site.column());
}

bool same_site(const std::source_location& a, const std::source_location& b) {
  return a.line() == b.line() && a.column() == b.column() && std::strcmp(a.file_name(), b.file_name()) == 0;
}

// ---------------------------------------------------------------------------------------------- grids and blocks

void Block::run(const Grid& grid, const std::function<std::uint64_t()>& next) {
  const DeviceArithmetic arithmetic;
  begin_grid(grid);
  active = this;
  const std::uint64_t blocks = std::uint64_t{grid.grid.x} * grid.grid.y * grid.grid.z;
  const bool forward = configuration().order == Configuration::Order::forward;
  for (std::uint64_t index; !failed_ && (index = next()) < blocks;) run_block(grid, forward ? index : blocks - 1 - index);
  active = nullptr;
}

void Block::begin_grid(const Grid& grid) {
  const unsigned count = grid.block.x * grid.block.y * grid.block.z;
  threads_.assign(count, Thread{});
  order_.resize(count);
  queue_.resize(count);
  waiting_.assign((count + 31) / 32, 0);
  living_ = waiting_;
  const bool reverse = configuration().order == Configuration::Order::reverse;
  for (unsigned i = 0; i < count; ++i) {
    threads_[i].index = {i % grid.block.x, i / grid.block.x % grid.block.y, i / grid.block.x / grid.block.y};
    order_[i] = static_cast<int>(reverse ? count - 1 - i : i);
  }
  random_ = (configuration().seed + 1) * 0x9E3779B97F4A7C15u + grid.launch;
  invocation_ = grid.invocation;
  failed_ = false;
  blockDim = grid.block;
  gridDim = grid.grid;
}

void Block::begin_block(const Grid& grid, std::uint64_t index) {
  static std::atomic<std::uint64_t> serials = 0;
  serial_ = ++serials;
  blockIdx = {static_cast<unsigned>(index % grid.grid.x), static_cast<unsigned>(index / grid.grid.x % grid.grid.y),
              static_cast<unsigned>(index / grid.grid.x / grid.grid.y)};
  shared_.begin_block(serial_, grid.dynamic_bytes, grid.shared_limit);
  head_ = queued_ = 0;
  phase_ = 0;
  arrived_ = 0;
  remaining_ = threads();
  std::fill(waiting_.begin(), waiting_.end(), 0u);
  std::fill(living_.begin(), living_.end(), 0u);
  for (int i = 0; i < threads(); ++i) {
    at(i).stack = nullptr;
    living_[static_cast<std::size_t>(i / 32)] |= 1u << (i % 32);
  }
  if (Observer* const checks = observer()) checks->block_begins(*this);
}

void Block::run_block(const Grid& grid, std::uint64_t index) {
  begin_block(grid, index);
  for (const int thread : order_) push(thread);
  resume(pop());
  // Back here when all threads have ended, or one has failed.
  in_kernel_ = false;
  current_ = -1;
  if (failed_) fibers_.abandon();
}

// The body of a fiber: runs the thread `current_`, then goes on with the next that can run.
void Block::run_thread() {
  in_kernel_ = true;
  invocation_.invoke(invocation_.parameters.get());
  in_kernel_ = false;
  thread_ends();
  const int next = pop();
  if (next >= 0 && at(next).stack == nullptr) {  // one that has not begun: on this stack, without a switch
    at(next).stack = fibers_.current();
    become(next);
    return;
  }
  if (next < 0 && remaining_ > 0) deadlock();
  fibers_.give(fibers_.current());
  if (next >= 0) resume(next);
  else fibers_.to_system();
}

void Block::thread_ends() {
  running().state = State::ended;
  --remaining_;
  const int warp = current_ / 32;
  living_[static_cast<std::size_t>(warp)] &= ~(1u << (current_ % 32));
  if (waiting_[static_cast<std::size_t>(warp)] != 0) release_warp(warp);
  if (remaining_ > 0 && arrived_ == remaining_) release_barrier();
}

// ---------------------------------------------------------------------------------------------- taking turns

void Block::become(int thread) {
  current_ = thread;
  threadIdx = running().index;
}

void Block::push(int thread) {
  at(thread).state = State::ready;
  queue_[(head_ + queued_++) % queue_.size()] = thread;
}

int Block::pop() {
  if (queued_ == 0) return -1;
  if (configuration().order == Configuration::Order::random) {  // any of them
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    std::swap(queue_[head_], queue_[(head_ + random_ % queued_) % queue_.size()]);
  }
  const int thread = queue_[head_];
  head_ = head_ + 1 == queue_.size() ? 0 : head_ + 1;
  --queued_;
  return thread;
}

void Block::resume(int thread) {
  become(thread);
  if (running().stack == nullptr) running().stack = fibers_.take();
  fibers_.to(running().stack);
}

// The running thread has said what it waits for.
void Block::wait() {
  const int me = current_, next = pop();
  if (next == me) return;
  if (next < 0) deadlock();
  resume(next);
}

// ---------------------------------------------------------------------------------------------- barriers

int Block::barrier(int predicate, Vote vote, std::source_location site) {
  const InEmulation inside(*this);
  Thread& me = running();
  me.site = site;
  me.predicate = predicate;
  me.state = State::at_barrier;
  if (arrived_ == 0) first_arrived_ = current_;
  if (const Thread& first = at(first_arrived_); !same_site(first.site, site))
    fail("barrier divergence: this thread waits at " + describe(site) + ", thread " + std::to_string(first_arrived_) + " at " +
         describe(first.site));
  if (++arrived_ == remaining_) release_barrier();
  wait();
  return votes_[static_cast<std::size_t>(vote)];
}

void Block::release_barrier() {
  if (remaining_ < threads()) fail("barrier at " + describe(at(first_arrived_).site) + " after some threads of the block have returned");
  int count = 0;
  for (const Thread& thread : threads_) count += thread.predicate != 0;
  votes_[static_cast<std::size_t>(Vote::count)] = count;
  votes_[static_cast<std::size_t>(Vote::all)] = count == threads();
  votes_[static_cast<std::size_t>(Vote::any)] = count > 0;
  arrived_ = 0;
  ++phase_;
  for (const int thread : order_) push(thread);
}

// ---------------------------------------------------------------------------------------------- shared memory

void* Block::shared_static(StaticSlot& slot, std::size_t bytes, std::size_t align) {
  const InEmulation inside(*this);
  void* const address = shared_.named(slot, bytes, align);
  if (address == nullptr) fail(shared_.complaint());
  return address;
}

unsigned char* Block::carve(std::size_t bytes, std::size_t& cursor) {
  const InEmulation inside(*this);
  unsigned char* const address = shared_.carve(bytes, cursor);
  if (address == nullptr) fail(shared_.complaint());
  return address;
}

bool Block::own(const void* address, std::size_t bytes) const {
  if (fibers_.current().holds(address)) return true;
  const char* const parameters = static_cast<const char*>(invocation_.parameters.get());
  const char* const first = static_cast<const char*>(address);
  return first >= parameters && first + bytes <= parameters + invocation_.bytes;
}

// ---------------------------------------------------------------------------------------------- what went wrong

std::string Block::name() const {
  const std::string block = "block " + triple(blockIdx.x, blockIdx.y, blockIdx.z);
  if (current_ < 0) return block;
  const uint3 index = at(current_).index;
  return block + " thread " + triple(index.x, index.y, index.z);
}

void Block::fail(const std::string& what) {
  report(name() + ": " + what);
  failed_ = true;
  fibers_.to_system();
}

void Block::deadlock() {
  std::string what = "deadlock";
  const auto tell = [&](State state, const std::string& doing) {
    for (int i = 0; i < threads(); ++i)
      if (at(i).state == state) {
        what += "; thread " + std::to_string(i) + doing + (state == State::ended ? "" : describe(at(i).site));
        return;
      }
  };
  tell(State::at_barrier, " waits in a barrier at ");
  tell(State::at_warp, " waits for lanes at ");
  tell(State::ended, " has returned");
  fail(what);
}

// ---------------------------------------------------------------------------------------------- what kernels call

void* shared_static(StaticSlot& slot, std::size_t bytes, std::size_t align) { return active->shared_static(slot, bytes, align); }
unsigned char* carve(std::size_t bytes, std::size_t& cursor) { return active->carve(bytes, cursor); }
int block_barrier(int predicate, Vote vote, std::source_location site) { return active->barrier(predicate, vote, site); }
Exchanged warp_exchange(unsigned mask, std::uint64_t value, unsigned source, std::source_location site) {
  return active->exchange(mask, value, source, site);
}
unsigned lane() { return static_cast<unsigned>(active->thread()) % 32; }

}  // namespace cuda_emulation

#if defined(__SANITIZE_ADDRESS__)
// The sanitizers call these when they find something; a program's own are found before theirs, a library's are not.
namespace {
void name_thread() {
  if (const cuda_emulation::Block* const block = cuda_emulation::running_block()) cuda_emulation::print_finding("in " + block->name());
}
}  // namespace
extern "C" __attribute__((visibility("default"))) void __asan_on_error() { name_thread(); }
extern "C" __attribute__((visibility("default"))) void __ubsan_on_report() { name_thread(); }
#endif
