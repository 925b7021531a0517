// What is on the device, on the host.
#pragma once

#include <vector>

#include "memory.hpp"
#include "stream.hpp"

namespace erffast::cuda {

// Bytes of an answer that are on the device at a time, on their way to the host: the copy takes longer than making them.
constexpr Index strip_bytes = Index{64} << 20;

// All of an array; waits for the stream.
template <class T>
std::vector<T> fetched(const DeviceArray<T>& array, Stream& stream) {
  std::vector<T> result(static_cast<std::size_t>(array.size()));
  array.to_host(result.data(), array.size(), stream);
  stream.wait();
  return result;
}

}  // namespace erffast::cuda
