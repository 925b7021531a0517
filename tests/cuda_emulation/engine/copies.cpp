// Copies and fills. Both sides are looked up: a copy out of bounds or in the wrong direction is an error, as on a device.
#include <cstring>

#include "errors.hpp"
#include "memory.hpp"
#include "observer.hpp"
#include "streams.hpp"

using namespace cuda_emulation;

namespace {

// `height` rows of `width` bytes, `pitch` bytes apart.
struct Rows {
  char* first;
  std::size_t pitch, width, height;

  bool empty() const { return width == 0 || height == 0; }
  bool on_device() const { return cuda_emulation::on_device(first, (height - 1) * pitch + width); }
  bool begins_on_device() const { return cuda_emulation::on_device(first, 1); }
};

bool wants_device_to(cudaMemcpyKind kind) { return kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice; }
bool wants_device_from(cudaMemcpyKind kind) { return kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice; }

// A piece of device memory must hold all rows; memory of the host is what the sanitizers look at.
bool fits(const Rows& rows, bool wants_device, cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault) return rows.on_device() || !rows.begins_on_device();
  return wants_device ? rows.on_device() : !rows.begins_on_device();
}

void copy_row(char* to, const char* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
  Observer* const checks = observer();
  if (checks == nullptr || !on_device(to, bytes)) return;
  if (on_device(from, bytes)) checks->copied(to, from, bytes);
  else checks->written(to, bytes);
}

cudaError_t copy(Rows to, Rows from, cudaMemcpyKind kind, cudaStream_t stream) {
  if (to.empty()) return enqueue(stream, [] {});
  if (to.width > to.pitch || from.width > from.pitch) return cudaErrorInvalidPitchValue;
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (!fits(to, wants_device_to(kind), kind) || !fits(from, wants_device_from(kind), kind)) return cudaErrorInvalidValue;
  return enqueue(stream, [=] {
    for (std::size_t row = 0; row < to.height; ++row) copy_row(to.first + row * to.pitch, from.first + row * from.pitch, to.width);
  });
}

cudaError_t fill(Rows to, int value, cudaStream_t stream) {
  if (to.empty()) return enqueue(stream, [] {});
  if (to.width > to.pitch) return cudaErrorInvalidPitchValue;
  if (!to.on_device()) return cudaErrorInvalidValue;
  return enqueue(stream, [=] {
    for (std::size_t row = 0; row < to.height; ++row) {
      std::memset(to.first + row * to.pitch, value, to.width);
      if (Observer* const checks = observer()) checks->written(to.first + row * to.pitch, to.width);
    }
  });
}

Rows rows(const void* first, std::size_t pitch, std::size_t width, std::size_t height) {
  return {static_cast<char*>(const_cast<void*>(first)), pitch, width, height};
}

}  // namespace

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                              std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return call([&] { return copy(rows(to, to_pitch, width, height), rows(from, from_pitch, width, height), kind, stream); });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return error != cudaSuccess ? error : cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMemset2DAsync(void* to, std::size_t pitch, int value, std::size_t width, std::size_t height, cudaStream_t stream) {
  return call([&] { return fill(rows(to, pitch, width, height), value, stream); });
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return cudaMemset2DAsync(to, bytes, value, bytes, 1, stream);
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) { return cudaMemsetAsync(to, value, bytes, nullptr); }
