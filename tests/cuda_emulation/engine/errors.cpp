#include "errors.hpp"

#include <atomic>
#include <cstdio>

#include "configuration.hpp"

namespace cuda_emulation {

namespace {

std::atomic<bool> is_broken = false;
thread_local cudaError_t last = cudaSuccess;
std::mutex printing;

// The first finding, in place of "unspecified launch failure". Never freed: callers keep pointers into it.
std::string& first_finding() {
  static std::string* const text = new std::string;
  return *text;
}

}  // namespace

void print_finding(const std::string& finding) {
  const std::scoped_lock lock(printing);
  std::fprintf(stderr, "cuda emulation: %s\n", finding.c_str());
}

void report(const std::string& finding) {
  print_finding(finding);
  const std::scoped_lock lock(printing);
  if (first_finding().empty()) first_finding() = finding;
  is_broken = true;
}

cudaError_t broken() { return is_broken ? cudaErrorLaunchFailure : cudaSuccess; }

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last = error;
  return error;
}

cudaError_t unavailable() {
  if (configuration().driver != Configuration::Driver::current) return cudaErrorInsufficientDriver;
  return configuration().devices == 0 ? cudaErrorNoDevice : cudaSuccess;
}

std::recursive_mutex& runtime_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

}  // namespace cuda_emulation

using namespace cuda_emulation;

cudaError_t cudaPeekAtLastError() { return broken() != cudaSuccess ? broken() : last; }

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  last = cudaSuccess;
  return error;
}

const char* cudaGetErrorName(cudaError_t error) {
#define CUDA_EMULATION_NAME(name, value, text) \
  if (error == name) return #name;
  CUDA_EMULATION_ERRORS(CUDA_EMULATION_NAME)
#undef CUDA_EMULATION_NAME
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  if (error == cudaErrorLaunchFailure && broken() != cudaSuccess) return first_finding().c_str();
#define CUDA_EMULATION_TEXT(name, value, text) \
  if (error == name) return text;
  CUDA_EMULATION_ERRORS(CUDA_EMULATION_TEXT)
#undef CUDA_EMULATION_TEXT
  return "unrecognized error code";
}
