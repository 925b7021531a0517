// Host memory that copies run to and from while the host does something else.
#pragma once

#include <cstddef>

#include "check.hpp"
#include "erffast/step.hpp"

namespace erffast::cuda {

// Room for n elements; keeps its capacity.
template <class T>
class PinnedArray {
 public:
  PinnedArray() = default;
  PinnedArray(const PinnedArray&) = delete;
  PinnedArray& operator=(const PinnedArray&) = delete;
  ~PinnedArray() { cudaFreeHost(data_); }

  // The contents are lost where the room grows.
  T* room(Index n) {
    if (n > capacity_) {
      check(cudaFreeHost(data_), "giving back memory");
      data_ = nullptr;
      capacity_ = 0;
      check(cudaMallocHost(reinterpret_cast<void**>(&data_), static_cast<std::size_t>(n) * sizeof(T)), "asking for host memory");
      capacity_ = n;
    }
    return data_;
  }
  T* data() { return data_; }
  const T& at(Index i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  Index capacity_ = 0;
};

}  // namespace erffast::cuda
