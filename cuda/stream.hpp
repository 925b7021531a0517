// Streams and events that end with their scope.
#pragma once

#include <chrono>
#include <thread>
#include <utility>

#include "check.hpp"
#include "erffast/monitor.hpp"

namespace erffast::cuda {

class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "creating an event"); }
  Event(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }

  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "recording an event"); }
  bool done() const {
    const cudaError_t state = cudaEventQuery(event_);
    if (state == cudaErrorNotReady) return false;
    check(state, "running a kernel");
    return true;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

// A stream of its own: work of one call never waits for that of another one.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream"); }
  Stream(const Stream&) = delete;
  ~Stream() {
    cudaStreamSynchronize(stream_);  // memory that the stream still writes is about to be freed
    cudaStreamDestroy(stream_);
  }

  operator cudaStream_t() const { return stream_; }

  // Waits for all that was launched. Where `monitor` is given, Ctrl-C is answered meanwhile; what runs then is waited for all the
  // same, as kernels cannot be stopped, so no launch may take longer than a tenth of a second.
  void wait(Monitor* monitor = nullptr) {
    if (monitor != nullptr) {
      done_.record(stream_);
      // most launches end within microseconds: looked for first, then slept for
      for (int looks = 0; !done_.done(); ++looks) {
        if (looks < 1000) continue;
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        monitor->tick(1'000'000);
        if (monitor->stopped()) break;
      }
    }
    check(cudaStreamSynchronize(stream_), "running a kernel");
    if (monitor != nullptr) monitor->throw_if_stopped();
  }

 private:
  cudaStream_t stream_ = nullptr;
  Event done_;
};

}  // namespace erffast::cuda
