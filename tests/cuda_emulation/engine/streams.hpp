// Work in streams: done at once, or when somebody waits for it.
#pragma once

#include <functional>

#include "cuda_runtime.h"

namespace cuda_emulation {

// Call these with the runtime's mutex held.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);
// Does all that was given to the stream.
cudaError_t finish(cudaStream_t stream);

}  // namespace cuda_emulation
