#include "cases.hpp"

#include <cstdio>

namespace cases {

std::map<std::string, Run>& all() {
  static std::map<std::string, Run> cases;
  return cases;
}

namespace {

cudaError_t prepare(Arrays& arrays) {
  arrays.host.resize(threads);
  for (int i = 0; i < threads; ++i) arrays.host[static_cast<std::size_t>(i)] = static_cast<float>(i);
  const std::size_t bytes = threads * sizeof(float);
  cudaError_t error = cudaMalloc(&arrays.out, bytes);
  if (error == cudaSuccess) error = cudaMalloc(&arrays.in, bytes);
  if (error == cudaSuccess) error = cudaMemset(arrays.out, 0, bytes);
  if (error == cudaSuccess) error = cudaMemcpy(arrays.in, arrays.host.data(), bytes, cudaMemcpyHostToDevice);
  return error;
}

// Each number times its place: the order matters.
double weighted(const std::vector<float>& numbers) {
  double sum = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) sum += static_cast<double>(numbers[i]) * static_cast<double>(i + 1);
  return sum;
}

}  // namespace
}  // namespace cases

int main(int count, char** words) {
  const auto found = cases::all().find(count == 2 ? words[1] : "");
  if (found == cases::all().end()) {
    for (const auto& [name, run] : cases::all()) std::printf("%s\n", name.c_str());
    return 2;
  }
  cases::Arrays arrays;
  cudaError_t error = cases::prepare(arrays);
  if (error == cudaSuccess) error = found->second(arrays);
  if (error == cudaSuccess) error = cudaDeviceSynchronize();
  if (error == cudaSuccess) error = cudaMemcpy(arrays.host.data(), arrays.out, cases::threads * sizeof(float), cudaMemcpyDeviceToHost);
  cudaFree(arrays.out);
  cudaFree(arrays.in);
  if (error != cudaSuccess) std::printf("error %s: %s\n", cudaGetErrorName(error), cudaGetErrorString(error));
  else std::printf("result %.9g\n", cases::weighted(arrays.host));
  return error != cudaSuccess;
}
