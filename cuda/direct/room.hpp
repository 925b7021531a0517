// How much device memory a chain takes at once.
#pragma once

#include <algorithm>
#include <vector>

#include "erffast/step.hpp"
#include "launches.hpp"
#include "memory.hpp"

namespace erffast::cuda {

// Room for n elements; what was in it is lost, once nothing that was launched uses it any more. A growing image would ask for a little
// more each time, and the device's memory is slow to be had: `least` is taken at once where that is a small part of the budget.
template <class U>
void make_room(DeviceArray<U>& array, Index n, Budget& budget, Pace& pace, Index least = 0) {
  if (n <= array.size()) return;
  if (array.size() > 0) pace.wait();
  array = DeviceArray<U>();
  const Index more = std::min(std::max(n + n / 2, least), budget.left() / 8 / static_cast<Index>(sizeof(U)));
  array = DeviceArray<U>(std::max(n, more), &budget);
}

// The largest frame of a chain that nothing is trimmed from, in elements a draw.
template <class T>
double largest_frame(const std::vector<Run<T>>& runs, Index channels, Index parts) {
  double height = 1, width = 1, largest = 1;  // the user's numbers: their sums may exceed 64 bits
  for (const Run<T>& run : runs) {
    if (run.channels_out > 0) channels = run.groups * run.channels_in;
    const bool grows_evenly = !run.bounded && run.stride[0] == 1 && run.stride[1] == 1;
    const double layers = grows_evenly ? static_cast<double>(run.count) : 1;  // at a time
    const auto side = [&](double from, int axis) {
      const double added = static_cast<double>(run.dilation[axis]) * static_cast<double>(run.kernel[axis] - 1);
      return static_cast<double>(run.stride[axis]) * (from - 1) + layers * added + 1;
    };
    for (Index i = 0; i < (grows_evenly ? 1 : run.count) && largest < 0x1p60; ++i) {
      height = side(height, 0);
      width = side(width, 1);
      largest = std::max(largest, static_cast<double>(channels * parts) * height * (width + 32));
      if (!run.bounded) continue;
      height = std::min(height, static_cast<double>(run.extent[0] + i * run.growth[0]));
      width = std::min(width, static_cast<double>(run.extent[1] + i * run.growth[1]));
    }
  }
  return largest;
}

}  // namespace erffast::cuda
