// Device memory: asked for before it is used, freed on every path.
#pragma once

#include <cstddef>
#include <utility>

#include "check.hpp"
#include "erffast/monitor.hpp"
#include "erffast/step.hpp"

namespace erffast::cuda {

// Bytes that a call may still take. Passing the limit throws MemoryLimit with what would have been needed in all.
class Budget {
 public:
  explicit Budget(Index bytes) : limit_(bytes) {}

  void take(Index bytes) {
    if (bytes > limit_ - used_) throw MemoryLimit(used_ + bytes);
    used_ += bytes;
  }
  void give_back(Index bytes) { used_ -= bytes; }
  Index left() const { return limit_ - used_; }

 private:
  Index limit_, used_ = 0;
};

// n elements on the device, not initialised. The budget must outlive it; null: none.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(Index n, Budget* budget = nullptr) : size_(n), budget_(budget) {
    if (n == 0) return;
    if (budget_ != nullptr) budget_->take(bytes());
    const cudaError_t error = cudaMalloc(reinterpret_cast<void**>(&data_), static_cast<std::size_t>(bytes()));
    if (error == cudaSuccess) return;
    if (budget_ != nullptr) budget_->give_back(bytes());
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw MemoryLimit(bytes());
    }
    check(error, "asking for memory");
  }
  DeviceArray(DeviceArray&& other) noexcept { swap(other); }
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    DeviceArray gone(std::move(other));
    swap(gone);
    return *this;
  }
  ~DeviceArray() {
    if (data_ == nullptr) return;
    cudaFree(data_);
    if (budget_ != nullptr) budget_->give_back(bytes());
  }

  void swap(DeviceArray& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(budget_, other.budget_);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  Index size() const { return size_; }
  Index bytes() const { return size_ * static_cast<Index>(sizeof(T)); }

  void from_host(const T* host, Index n, cudaStream_t stream) {
    check(cudaMemcpyAsync(data_, host, static_cast<std::size_t>(n) * sizeof(T), cudaMemcpyHostToDevice, stream), "copying to the device");
  }
  // The host's memory holds the numbers once the stream has been waited for.
  void to_host(T* host, Index n, cudaStream_t stream) const {
    check(cudaMemcpyAsync(host, data_, static_cast<std::size_t>(n) * sizeof(T), cudaMemcpyDeviceToHost, stream), "copying from the device");
  }
  void zero(cudaStream_t stream) { check(cudaMemsetAsync(data_, 0, static_cast<std::size_t>(bytes()), stream), "clearing memory"); }

 private:
  T* data_ = nullptr;
  Index size_ = 0;
  Budget* budget_ = nullptr;
};

}  // namespace erffast::cuda
