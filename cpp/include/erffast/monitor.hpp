// Progress and cancellation: polled by the calling thread, seen by all.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <stdexcept>

#include "erffast/step.hpp"

namespace erffast {

// Thrown when the caller asked to stop (Ctrl-C, or a progress callback that raised).
struct Cancelled : std::runtime_error {
  Cancelled() : std::runtime_error("cancelled") {}
};

// Thrown before an allocation that would pass the limit the caller gave.
struct MemoryLimit : std::runtime_error {
  explicit MemoryLimit(Index needed) : std::runtime_error("memory limit"), bytes(needed) {}
  Index bytes;
};

class Monitor {
 public:
  // `report(done, total)` returns false to cancel. It may be empty.
  Monitor(std::function<bool(Index, Index)> report, Index total) : report_(std::move(report)), total_(total) {}

  bool stopped() const { return stop_.load(std::memory_order_relaxed); }
  void stop() { stop_.store(true, std::memory_order_relaxed); }
  void add_done(Index layers) { done_.fetch_add(layers, std::memory_order_relaxed); }

  // Called by the calling thread only, after `work` multiply-adds. The clock is read about once a millisecond of work and
  // the report is made at most every 30 ms: Ctrl-C is answered well within the promised 0.2 s.
  void tick(Index work) {
    work_ += work;
    if (work_ < 1'000'000) return;
    work_ = 0;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(30)) return;
    last_ = now;
    if (report_ && !report_(done_.load(std::memory_order_relaxed), total_)) stop();
  }

  void throw_if_stopped() const {
    if (stopped()) throw Cancelled();
  }

 private:
  std::function<bool(Index, Index)> report_;
  Index total_;
  Index work_ = 0;
  std::atomic<Index> done_{0};
  std::atomic<bool> stop_{false};
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace erffast
