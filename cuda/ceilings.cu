#include "gpu.cuh"

#include "ceilings.hpp"
#include "devices.hpp"
#include "memory.hpp"
#include "stream.hpp"

namespace erffast::cuda {
namespace {

constexpr int rate_threads = 256;
// Chains that a thread works on in turn: a multiply-add is awaited for some four cycles, and two units take one each.
constexpr int chains = 8;

// out[thread]: what the chains add up to, so that none can be left out.
template <class T>
__global__ void __launch_bounds__(rate_threads) multiply_adds_kernel(T* __restrict__ out, T factor, int rounds) {
  T sums[chains];
  GPU_UNROLL
  for (int i = 0; i < chains; ++i) sums[i] = static_cast<T>(static_cast<int>(threadIdx.x) + i);
  for (int round = 0; round < rounds; ++round) {
    GPU_UNROLL
    for (int i = 0; i < chains; ++i) sums[i] = fma(sums[i], factor, factor);
  }
  T total = 0;
  GPU_UNROLL
  for (int i = 0; i < chains; ++i) total += sums[i];
  out[static_cast<std::size_t>(blockIdx.x) * rate_threads + threadIdx.x] = total;
}

// Work a second, where `once` launches `work` of it: as often as fits the time, the best of all.
template <class Once>
double best_rate(double seconds, double work, const Once& once) {
  Stream stream;
  Event begin(cudaEventDefault), end(cudaEventDefault);
  double best = 0;
  for (double spent = 0; spent < seconds;) {
    begin.record(stream);
    once(stream);
    end.record(stream);
    stream.wait();
    const double took = end.seconds_since(begin);
    if (took <= 0) break;
    if (spent > 0 || took >= seconds) best = best > work / took ? best : work / took;  // the first warms up
    spent += took;
  }
  return best;
}

}  // namespace

template <class T>
double multiply_add_rate(double seconds) {
  const int blocks = 8 * limits_of_device().multiprocessors, rounds = 1 << 12;
  DeviceArray<T> out(Index{blocks} * rate_threads);
  const double work = static_cast<double>(blocks) * rate_threads * chains * rounds;
  return best_rate(seconds, work, [&](cudaStream_t stream) {
    check(launch(multiply_adds_kernel<T>, dim3(static_cast<unsigned>(blocks)), dim3(rate_threads), 0, stream, out.data(), T(0.5), rounds),
          "measuring multiply-adds");
  });
}

template double multiply_add_rate<float>(double);
template double multiply_add_rate<double>(double);

double copy_rate(Index bytes, double seconds) {
  DeviceArray<unsigned char> source(bytes), target(bytes);
  return best_rate(seconds, 2.0 * static_cast<double>(bytes), [&](cudaStream_t stream) {
    check(cudaMemcpyAsync(target.data(), source.data(), static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, stream), "copying");
  });
}

double write_rate(Index bytes, double seconds) {
  DeviceArray<unsigned char> target(bytes);
  return best_rate(seconds, static_cast<double>(bytes), [&](cudaStream_t stream) { target.zero(stream); });
}

}  // namespace erffast::cuda
