// What the arrays of one call have in common; they keep it alive.
#pragma once

#include "devices.hpp"
#include "memory.hpp"
#include "stream.hpp"

namespace erffast::cuda {

struct Session {
  explicit Session(Index memory_limit) : budget(memory_limit) {}
  Budget budget;
  const int device = current_device();  // to be current wherever the stream is used
  Stream stream;
};

}  // namespace erffast::cuda
