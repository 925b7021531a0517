// Images that stay on the device, for libraries that go on working there.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "devices.hpp"
#include "memory.hpp"

namespace erffast::cuda {

// Complete when Python gets it, and after each call that writes to it: no stream has to be waited for. What is handed out shares the memory and keeps it alive.
class DeviceImage {
 public:
  // pixels: [shape] in C order, lines of the last axis `pitch` elements apart
  template <class T>
  DeviceImage(DeviceArray<T> pixels, std::vector<Index> shape, Index pitch)
      : shape_(std::move(shape)), pitch_(pitch), single_(std::is_same_v<T, float>), data_(pixels.data()),
        owner_(std::make_shared<DeviceArray<T>>(std::move(pixels))), device_(device_of(data_)) {}

  const std::vector<Index>& shape() const { return shape_; }
  Index pitch() const { return pitch_; }
  int device() const { return device_; }
  const char* dtype() const { return single_ ? "float32" : "float64"; }

  // One of the draws of [draws, rows, columns], to be written; T is its type.
  template <class T>
  T* draw(Index index) const {
    return static_cast<T*>(data_) + index * shape_[1] * pitch_;
  }

  DeviceImage reshaped(std::vector<Index> shape) const;  // the same pixels; the last axis stays
  pybind11::array to_host() const;           // a new array
  pybind11::dict cuda_array_interface() const;  // version 3
  pybind11::capsule dlpack() const;          // a DLManagedTensor, "dltensor"
  std::pair<int, int> dlpack_device() const { return {2, device_}; }  // kDLCUDA

 private:
  Index lines() const;                  // of the last axis
  Index size() const { return single_ ? 4 : 8; }  // of a pixel, bytes
  std::vector<Index> strides() const;  // elements

  std::vector<Index> shape_;
  Index pitch_;
  bool single_;
  void* data_;
  std::shared_ptr<void> owner_;
  int device_;
};

void bind_device_image(pybind11::module_& m);

}  // namespace erffast::cuda
