// The direct engine on a GPU.
#pragma once

#include <memory>
#include <vector>

#include "erffast/monitor.hpp"
#include "erffast/propagate.hpp"
#include "frame.hpp"
#include "memory.hpp"

namespace erffast::cuda {

// Pixels on the device, and the budget that they were taken from.
template <class T>
struct HeldPixels {
  std::shared_ptr<Budget> budget;
  DeviceArray<T> data;
  int device;  // to be current where they are used
};

// One draw's answer, on the device: channel 0, the high part.
template <class T>
struct ImageOnDevice : ImageFacts {
  std::shared_ptr<HeldPixels<T>> pixels;
  Frame frame;  // an empty rectangle: an image of zeros
};

// As erffast::propagate. `options.memory_limit`: bytes on the device; `options.threads` serve what the host composes. Throws
// Cancelled, MemoryLimit or DeviceError.
template <class T, int parts = 1>
std::vector<ImageOnDevice<T>> propagate(const std::vector<Run<T>>& runs, const Options& options, Monitor& monitor);

}  // namespace erffast::cuda
