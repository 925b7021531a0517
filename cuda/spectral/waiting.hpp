// Waiting for a launch, and telling progress and answering Ctrl-C after it.
#pragma once

#include "stream.hpp"

namespace erffast::cuda {

// `layers`: what the launch completes.
inline void wait(Stream& stream, Monitor& monitor, Index layers = 0) {
  stream.wait(&monitor);
  monitor.add_done(layers);
  monitor.tick(1'000'000);
  monitor.throw_if_stopped();
}

}  // namespace erffast::cuda
