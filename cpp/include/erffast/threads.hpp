// A team of threads that lives for one call, and the floating-point state it works in.
#pragma once

#include <atomic>
#include <barrier>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace erffast {

// Sets the floating-point state of this thread while it lives, and brings back the one it found.
class FloatingPoint {
 public:
  using State = unsigned long long;
  static State current();
  static State flushing();  // the current state, with denormals flushed

  explicit FloatingPoint(State state);
  ~FloatingPoint();
  FloatingPoint(const FloatingPoint&) = delete;
  FloatingPoint& operator=(const FloatingPoint&) = delete;

 private:
  State saved_;
};

// Flushes denormals while it lives: tails that fade below the smallest normal number would cost a hundred cycles an
// operation and are zero in the result anyway.
class FlushDenormals : FloatingPoint {
 public:
  FlushDenormals() : FloatingPoint(flushing()) {}
};

// The first of `items` for a thread of a team; the share ends where the next thread's begins. Thread 0, which answers Ctrl-C,
// is never left without an item.
constexpr std::int64_t first_item(std::int64_t items, int thread, int threads) { return (items * thread + threads - 1) / threads; }

// Fork-join over `size` threads, the caller among them. No thread outlives the team; workers start with the first job.
class Team {
 public:
  explicit Team(int size) : size_(size < 1 ? 1 : size) {}
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return size_; }

  // Runs job(thread) on every thread, 0 being the caller, and returns when all have finished. The first exception is
  // rethrown here.
  void run(const std::function<void(int)>& job);

 private:
  void start();
  void work(int thread);
  void guarded(int thread);

  int size_;
  std::vector<std::thread> workers_;
  std::unique_ptr<std::barrier<>> gate_;
  const std::function<void(int)>* job_ = nullptr;
  std::exception_ptr error_;
  std::mutex error_mutex_;
};

}  // namespace erffast
