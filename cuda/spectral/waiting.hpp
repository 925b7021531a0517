// Waiting for a launch, and answering Ctrl-C after it.
#pragma once

#include "stream.hpp"

namespace erffast::cuda {

inline void wait(Stream& stream, Monitor& monitor) {
  stream.wait(&monitor);
  monitor.tick(1'000'000);
  monitor.throw_if_stopped();
}

}  // namespace erffast::cuda
