// Streams and events that end with their scope, and the time that they took on the device.
#pragma once

#include <chrono>
#include <thread>

#include "check.hpp"
#include "erffast/monitor.hpp"

namespace erffast::cuda {

// Seconds from the beginning of a stream to the last of its work that was waited for, of all streams that this thread waited for,
// added up since it was last set to 0: what benchmarks call the time on the device. It holds the waits of the device for the host
// in between.
inline thread_local double device_seconds = 0;

class Event {
 public:
  explicit Event(unsigned flags = cudaEventDisableTiming) { check(cudaEventCreateWithFlags(&event_, flags), "creating an event"); }
  Event(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }

  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "recording an event"); }
  // From `begin` to this one; both recorded with their times, and waited for. 0 where one was not.
  double seconds_since(const Event& begin) const {
    float milliseconds = 0;
    if (cudaEventElapsedTime(&milliseconds, begin.event_, event_) == cudaSuccess) return 1e-3 * static_cast<double>(milliseconds);
    cudaGetLastError();
    return 0;
  }
  cudaEvent_t get() const { return event_; }
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
  Stream() {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
    cudaEventRecord(begin_.get(), stream_);
  }
  Stream(const Stream&) = delete;
  ~Stream() {
    cudaStreamSynchronize(stream_);  // memory that the stream still writes is about to be freed
    cudaStreamDestroy(stream_);
  }

  operator cudaStream_t() const { return stream_; }

  // Waits for all that was launched. Where `monitor` is given, `layers` are told to be done, and Ctrl-C is answered meanwhile and
  // after it, for many short waits are to be answered between, too; what runs then is waited for all the same, as kernels cannot be
  // stopped, so no launch may take longer than a tenth of a second.
  void wait(Monitor* monitor = nullptr, Index layers = 0) {
    end_.record(stream_);
    if (monitor != nullptr) {
      // most launches end within microseconds: looked for first, then slept for
      for (int looks = 0; !end_.done(); ++looks) {
        if (looks < 1000) continue;
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        monitor->tick(1'000'000);
        if (monitor->stopped()) break;
      }
    }
    check(cudaStreamSynchronize(stream_), "running a kernel");
    const double seconds = end_.seconds_since(begin_);
    device_seconds += seconds - counted_;
    counted_ = seconds;
    if (monitor == nullptr) return;
    monitor->throw_if_stopped();
    monitor->add_done(layers);
    monitor->tick(1'000'000);
    monitor->throw_if_stopped();
  }

 private:
  cudaStream_t stream_ = nullptr;
  Event begin_{cudaEventDefault}, end_{cudaEventDefault};
  double counted_ = 0;  // seconds that are in device_seconds
};

}  // namespace erffast::cuda
