// Small arrays of the host, brought to the device together: one allocation and one copy, however many they are.
#pragma once

#include <cstring>
#include <vector>

#include "memory.hpp"
#include "stream.hpp"

namespace erffast::cuda {

class Tables {
 public:
  template <class T>
  struct Place {
    std::size_t offset = 0;
  };

  template <class T>
  Place<T> add(const T* values, Index n) {
    const Place<T> place{bytes_.size()};
    const std::size_t size = static_cast<std::size_t>(n) * sizeof(T);
    bytes_.resize((bytes_.size() + size + 15) / 16 * 16);
    if (n > 0) std::memcpy(bytes_.data() + place.offset, values, size);
    return place;
  }
  template <class T>
  Place<T> add(const std::vector<T>& values) {
    return add(values.data(), static_cast<Index>(values.size()));
  }

  // The host's copy is kept as long as this lives: the stream may read it later.
  void upload(cudaStream_t stream, Budget* budget) {
    device_ = DeviceArray<unsigned char>(static_cast<Index>(bytes_.size()), budget);
    if (!bytes_.empty()) device_.from_host(bytes_.data(), static_cast<Index>(bytes_.size()), stream);
  }

  template <class T>
  const T* at(Place<T> place) const {
    return reinterpret_cast<const T*>(device_.data() + place.offset);
  }

 private:
  std::vector<unsigned char> bytes_;
  DeviceArray<unsigned char> device_;
};

}  // namespace erffast::cuda
