// Each piece of work has a ticket, in the order of the calls. A stream's pieces run in their order; what a piece of another stream must
// wait for is run before it. Deferred, nothing runs before the host waits: a missing wait gives what memory held before.
#include "streams.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "configuration.hpp"
#include "devices.hpp"
#include "errors.hpp"
#include "memory.hpp"

namespace cuda_emulation {

using Ticket = std::uint64_t;

struct Stream {
  struct Piece {
    Ticket ticket;
    std::function<void()> work;
  };
  std::deque<Piece> queue;
  bool waits_for_default;  // not created with cudaStreamNonBlocking
  int device;
};

struct Event {
  std::shared_ptr<Stream> stream;  // of the last record
  Ticket ticket = 0;
  bool timed;
  std::chrono::steady_clock::time_point time;
};

namespace {

template <class T>
class Handles {
 public:
  explicit Handles(const char* what) : what_(what) {}
  ~Handles() {
    if (!all.empty() && broken() == cudaSuccess) print_finding(std::to_string(all.size()) + " " + what_ + " were never destroyed");
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  std::shared_ptr<T> find(const T* handle) const {
    const auto found = std::ranges::find(all, handle, [](const auto& one) { return one.get(); });
    return found == all.end() ? nullptr : *found;
  }

  std::vector<std::shared_ptr<T>> all;

 private:
  const char* what_;
};

Handles<Stream>& streams() {
  static Handles<Stream> handles("streams");
  return handles;
}

Handles<Event>& events() {
  static Handles<Event> handles("events");
  return handles;
}

const std::shared_ptr<Stream>& default_stream() {
  static const auto stream = std::make_shared<Stream>(Stream{{}, false, 0});
  return stream;
}

// Null where there is no such stream.
std::shared_ptr<Stream> stream_of(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return default_stream();
  return streams().find(handle);
}

bool pending(const Stream& stream, Ticket ticket) { return !stream.queue.empty() && stream.queue.front().ticket <= ticket; }

void run_first(Stream& stream);

void run_until(Stream& stream, Ticket ticket) {
  while (pending(stream, ticket)) run_first(stream);
}

// The default stream waits for what was given before to all that do not refuse it, and they for it.
void run_first(Stream& stream) {
  const Stream::Piece piece = std::move(stream.queue.front());
  stream.queue.pop_front();
  if (&stream == default_stream().get()) {
    const auto others = streams().all;
    for (const auto& other : others)
      if (other->waits_for_default) run_until(*other, piece.ticket);
  } else if (stream.waits_for_default) {
    run_until(*default_stream(), piece.ticket);
  }
  if (broken() != cudaSuccess) return;
  const OpenMemory open;
  piece.work();
}

Ticket last_ticket = 0;
constexpr Ticket everything = ~Ticket{0};

cudaError_t enqueue(const std::shared_ptr<Stream>& stream, std::function<void()> work) {
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (stream != default_stream() && stream->device != current_device()) return cudaErrorInvalidResourceHandle;
  stream->queue.push_back({++last_ticket, std::move(work)});
  if (!configuration().deferred) run_until(*stream, last_ticket);
  return broken();
}

cudaError_t finish(const std::shared_ptr<Stream>& stream, Ticket ticket) {
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  run_until(*stream, ticket);
  return broken();
}

// A look at work that has not ended is what lets some of it run: whoever looks often enough sees its end.
cudaError_t look(const std::shared_ptr<Stream>& stream, Ticket ticket) {
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (!pending(*stream, ticket)) return cudaSuccess;
  run_first(*stream);
  return broken() != cudaSuccess ? broken() : cudaErrorNotReady;
}

// Calls use(event) with a known event.
template <class Use>
cudaError_t with_event(cudaEvent_t handle, Use use) {
  return call([&] {
    const std::shared_ptr<Event> event = events().find(handle);
    return event == nullptr ? cudaErrorInvalidResourceHandle : use(*event);
  });
}

}  // namespace

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) { return enqueue(stream_of(stream), std::move(work)); }
cudaError_t finish(cudaStream_t stream) { return finish(stream_of(stream), everything); }

}  // namespace cuda_emulation

using namespace cuda_emulation;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* handle, unsigned flags) {
  return call([&] {
    const auto stream = std::make_shared<Stream>(Stream{{}, flags != cudaStreamNonBlocking, current_device()});
    streams().all.push_back(stream);
    *handle = stream.get();
    return cudaSuccess;
  });
}

cudaError_t cudaStreamCreate(cudaStream_t* handle) { return cudaStreamCreateWithFlags(handle, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return call([&] {
    const auto stream = streams().find(handle);
    const cudaError_t error = finish(stream, everything);
    std::erase(streams().all, stream);
    return error;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return call([&] { return finish(handle); });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return call([&] { return look(stream_of(handle), everything); });
}

cudaError_t cudaDeviceSynchronize() {
  return call([&] {
    const auto all = streams().all;
    for (const auto& stream : all) run_until(*stream, everything);
    return finish(default_stream(), everything);
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned flags) {
  return call([&] {
    const auto event = std::make_shared<Event>(Event{nullptr, 0, (flags & cudaEventDisableTiming) == 0, {}});
    events().all.push_back(event);
    *handle = event.get();
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* handle) { return cudaEventCreateWithFlags(handle, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  return call([&] {
    const auto event = events().find(handle);
    if (event == nullptr) return cudaErrorInvalidResourceHandle;
    std::erase(events().all, event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream) {
  return call([&] {
    const std::shared_ptr<Event> event = events().find(handle);
    const std::shared_ptr<Stream> in = stream_of(stream);
    if (event == nullptr || in == nullptr) return cudaErrorInvalidResourceHandle;
    event->stream = in;
    event->ticket = last_ticket + 1;
    return enqueue(in, [event] { event->time = std::chrono::steady_clock::now(); });
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return with_event(handle, [](Event& event) { return event.stream == nullptr ? cudaSuccess : finish(event.stream, event.ticket); });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return with_event(handle, [](Event& event) { return event.stream == nullptr ? cudaSuccess : look(event.stream, event.ticket); });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned) {
  return with_event(event_handle, [&](Event& event) {
    return enqueue(stream_of(handle), [stream = event.stream, ticket = event.ticket] {
      if (stream != nullptr) run_until(*stream, ticket);
    });
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return with_event(start, [&](Event& first) {
    return with_event(end, [&](Event& second) {
      for (const Event* event : {&first, &second}) {
        if (!event->timed || event->stream == nullptr) return cudaErrorInvalidResourceHandle;
        if (pending(*event->stream, event->ticket)) return cudaErrorNotReady;
      }
      *milliseconds = std::chrono::duration<float, std::milli>(second.time - first.time).count();
      return cudaSuccess;
    });
  });
}
