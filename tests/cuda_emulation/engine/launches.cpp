// Launches: what a device would refuse, and the sharing-out of blocks over threads of the system.
#include <atomic>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "block.hpp"
#include "devices.hpp"
#include "errors.hpp"
#include "memory.hpp"
#include "observer.hpp"
#include "streams.hpp"

namespace cuda_emulation {

namespace {

// What each kernel may have of dynamic shared memory, where it was told.
std::map<const void*, std::size_t>& dynamic_limits() {
  static std::map<const void*, std::size_t> limits;
  return limits;
}

std::size_t dynamic_limit(const void* kernel) {
  const auto found = dynamic_limits().find(kernel);
  return found == dynamic_limits().end() ? shared_by_default : found->second;
}

bool possible(dim3 grid, dim3 block) {
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  const bool some = threads > 0 && grid.x > 0 && grid.y > 0 && grid.z > 0;
  return some && block.x <= 1024 && block.y <= 1024 && block.z <= 64 && threads <= 1024 && grid.x <= 0x7fffffff && grid.y <= 65535 &&
         grid.z <= 65535;
}

// The blocks that run at the same time; kept, as their stacks are.
std::vector<std::unique_ptr<Block>>& blocks(std::size_t count) {
  static std::vector<std::unique_ptr<Block>> all;
  while (all.size() < count) all.push_back(std::make_unique<Block>());
  return all;
}

// The checks follow one block at a time.
std::size_t workers() { return observer() != nullptr ? 1 : static_cast<std::size_t>(configuration().threads); }

void run(const Grid& grid) {
  if (Observer* const checks = observer()) checks->launch_begins();
  std::atomic<std::uint64_t> counter = 0;
  const auto next = [&] { return broken() != cudaSuccess ? ~std::uint64_t{0} : counter++; };
  auto& running = blocks(workers());
  if (workers() == 1) return running[0]->run(grid, next);
  std::vector<std::jthread> pool;
  for (std::size_t i = 0; i < workers(); ++i) pool.emplace_back([&, i] { running[i]->run(grid, next); });
}

}  // namespace

cudaError_t launch(const cudaLaunchConfig_t& config, Invocation invocation) {
  return call([&] {
    static std::uint64_t launches = 0;
    if (!possible(config.gridDim, config.blockDim)) return cudaErrorInvalidConfiguration;
    const std::size_t limit = dynamic_limit(invocation.kernel);
    if (config.dynamicSmemBytes > limit) return cudaErrorInvalidValue;
    const std::size_t shared_limit = limit > shared_by_default ? configuration().most_shared() : shared_by_default;
    const Grid grid{config.gridDim, config.blockDim, config.dynamicSmemBytes, shared_limit, ++launches, std::move(invocation)};
    return enqueue(config.stream, [grid, device = current_device()] {
      const OwnMemory own(device);
      run(grid);
    });
  });
}

cudaError_t set_attribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  return call([&] {
    const bool known = attribute == cudaFuncAttributeMaxDynamicSharedMemorySize;
    if (!known || value < 0 || static_cast<std::size_t>(value) > configuration().most_shared()) return cudaErrorInvalidValue;
    dynamic_limits()[kernel] = static_cast<std::size_t>(value);
    return cudaSuccess;
  });
}

cudaError_t get_attributes(cudaFuncAttributes* attributes, const void* kernel) {
  return call([&] {
    *attributes = {1024, static_cast<int>(dynamic_limit(kernel))};
    return cudaSuccess;
  });
}

}  // namespace cuda_emulation
