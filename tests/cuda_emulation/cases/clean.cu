#include <cstdio>
#include <vector>
#include "gpu.cuh"
namespace gpu = erffast::cuda;
__global__ void reversed(float* out) {
  GPU_SHARED(float, tile, [64]);
  const int t = static_cast<int>(threadIdx.x);
  tile[t] = static_cast<float>(t);
  __syncthreads();
  out[t] = tile[63 - t];
}
int main() {
  float* out;
  cudaMalloc(&out, 256);
  std::vector<float> host(64);
  cudaError_t e = gpu::launch(reversed, dim3(1), dim3(64), 0, nullptr, out);
  cudaMemcpy(host.data(), out, 256, cudaMemcpyDeviceToHost);
  cudaFree(out);
  printf("%d %g %g\n", e, host[0], host[63]);
}
