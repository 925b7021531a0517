#include "erffast/threads.hpp"

#include <system_error>
#include <utility>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace erffast {

namespace {

void set_state([[maybe_unused]] FloatingPoint::State state) {
#if defined(__x86_64__)
  _mm_setcsr(static_cast<unsigned>(state));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" ::"r"(state));
#endif
}

}  // namespace

FloatingPoint::State FloatingPoint::current() {
#if defined(__x86_64__)
  return _mm_getcsr();
#elif defined(__aarch64__)
  State state;
  asm volatile("mrs %0, fpcr" : "=r"(state));
  return state;
#else
  return 0;
#endif
}

FloatingPoint::State FloatingPoint::flushing() {
#if defined(__x86_64__)
  return current() | 0x8040u;  // flush to zero, denormals are zero
#else
  return current() | (1ull << 24);
#endif
}

FloatingPoint::FloatingPoint(State state) : saved_(current()) { set_state(state); }
FloatingPoint::~FloatingPoint() { set_state(saved_); }

Team::~Team() {
  if (workers_.empty()) return;
  job_ = nullptr;  // a job of none: the workers leave
  gate_->arrive_and_wait();
  for (std::thread& worker : workers_) worker.join();
}

void Team::start() {
  gate_ = std::make_unique<std::barrier<>>(size_);
  workers_.reserve(static_cast<std::size_t>(size_ - 1));
  try {
    for (int thread = 1; thread < size_; ++thread) workers_.emplace_back([this, thread] { work(thread); });
  } catch (const std::system_error&) {
    // The system gives no more threads: go on with those it gave. The result does not depend on their number.
    const int started = static_cast<int>(workers_.size()) + 1;
    for (int missing = started; missing < size_; ++missing) gate_->arrive_and_drop();
    size_ = started;
  }
}

void Team::work(int thread) {
  FlushDenormals flush;
  while (true) {
    gate_->arrive_and_wait();
    if (job_ == nullptr) return;
    guarded(thread);
    gate_->arrive_and_wait();
  }
}

void Team::guarded(int thread) {
  try {
    (*job_)(thread);
  } catch (...) {
    std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

void Team::run(const std::function<void(int)>& job) {
  if (size_ == 1) return job(0);
  if (workers_.empty()) start();
  job_ = &job;
  gate_->arrive_and_wait();
  guarded(0);
  gate_->arrive_and_wait();
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

}  // namespace erffast
