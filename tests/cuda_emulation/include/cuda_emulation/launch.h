// Launches. A kernel's parameters are copied when it is launched, as on a device.
#pragma once

#include <cstddef>
#include <memory>
#include <tuple>
#include <utility>

#include "runtime.h"

struct cudaLaunchAttribute;  // incomplete: clusters and the like are not emulated
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;
  unsigned numAttrs;
};

namespace cuda_emulation {

// A kernel and its parameters.
struct Invocation {
  const void* kernel;  // whose attributes hold
  std::shared_ptr<const void> parameters;
  std::size_t bytes;
  void (*invoke)(const void* parameters);
};
cudaError_t launch(const cudaLaunchConfig_t& config, Invocation invocation);
cudaError_t set_attribute(const void* kernel, cudaFuncAttribute attribute, int value);
cudaError_t get_attributes(cudaFuncAttributes* attributes, const void* kernel);

template <class... P>
struct Call {
  void (*kernel)(P...);
  std::tuple<P...> parameters;
  static void invoke(const void* call) {
    const Call* self = static_cast<const Call*>(call);
    std::apply(self->kernel, self->parameters);
  }
  static Invocation of(void (*kernel)(P...), std::tuple<P...> parameters) {
    auto call = std::make_shared<const Call>(Call{kernel, std::move(parameters)});
    return {reinterpret_cast<const void*>(kernel), std::move(call), sizeof(Call), &invoke};
  }
};

template <class... P, std::size_t... i>
std::tuple<P...> read_parameters(void** from, std::index_sequence<i...>) {
  return {*static_cast<P*>(from[i])...};
}

}  // namespace cuda_emulation

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
  return cuda_emulation::launch(*config, cuda_emulation::Call<P...>::of(kernel, {static_cast<P>(std::forward<A>(arguments))...}));
}
template <class... P>
cudaError_t cudaLaunchKernel(void (*kernel)(P...), dim3 grid, dim3 block, void** arguments, std::size_t shared = 0,
                             cudaStream_t stream = nullptr) {
  auto parameters = cuda_emulation::read_parameters<P...>(arguments, std::index_sequence_for<P...>{});
  return cuda_emulation::launch({grid, block, shared, stream, nullptr, 0}, cuda_emulation::Call<P...>::of(kernel, std::move(parameters)));
}
template <class... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute attribute, int value) {
  return cuda_emulation::set_attribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
template <class... P>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, void (*kernel)(P...)) {
  return cuda_emulation::get_attributes(attributes, reinterpret_cast<const void*>(kernel));
}
