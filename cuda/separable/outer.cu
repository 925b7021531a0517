#include "outer.cuh"

#include "outer.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "memory.hpp"
#include "stream.hpp"

namespace erffast::cuda {
namespace {

constexpr Index most_bytes = Index{64} << 20;  // of the image that are on the device at a time

}  // namespace

template <class T>
void outer(const double* rows, Index n_rows, const double* columns, Index n_columns, int shift, int power, T* out, Monitor& monitor) {
  if (n_rows == 0 || n_columns == 0) return;
  constexpr Index line = 16 / static_cast<Index>(sizeof(T));
  const Index pitch = (n_columns + line - 1) / line * line;
  const Index at_once = std::clamp<Index>(most_bytes / (pitch * static_cast<Index>(sizeof(T))), 1, n_rows);
  std::vector<double> scaled(static_cast<std::size_t>(n_rows));
  std::transform(rows, rows + n_rows, scaled.begin(), [&](double v) {
    const double s = std::ldexp(v, shift);
    return std::abs(s) < 0x1p-1022 ? 0.0 : s;
  });
  Stream stream;
  DeviceArray<double> device_rows(n_rows), device_columns(n_columns);
  DeviceArray<T> piece(at_once * pitch);
  device_rows.from_host(scaled.data(), n_rows, stream);
  device_columns.from_host(columns, n_columns, stream);
  const Power<T> last{static_cast<T>(std::ldexp(1.0, power / 2)), static_cast<T>(std::ldexp(1.0, power - power / 2))};
  const Index blocks_of_row = (pitch / line + outer_threads - 1) / outer_threads;
  for (Index first = 0; first < n_rows; first += at_once) {
    const Index count = std::min(at_once, n_rows - first);
    const OuterArguments<T> o{device_rows.data() + first, device_columns.data(), piece.data(), count, n_columns, pitch, last};
    const Index blocks = blocks_of_row * ((count + outer_rows - 1) / outer_rows);
    check(launch(outer_kernel<T>, dim3(static_cast<unsigned>(blocks)), dim3(outer_threads), 0, stream, o), "launching a kernel");
    check(cudaMemcpy2DAsync(out + first * n_columns, static_cast<std::size_t>(n_columns) * sizeof(T), piece.data(), static_cast<std::size_t>(pitch) * sizeof(T),
                            static_cast<std::size_t>(n_columns) * sizeof(T), static_cast<std::size_t>(count), cudaMemcpyDeviceToHost, stream),
          "copying from the device");
    stream.wait(&monitor);
  }
}

template void outer(const double*, Index, const double*, Index, int, int, float*, Monitor&);
template void outer(const double*, Index, const double*, Index, int, int, double*, Monitor&);

}  // namespace erffast::cuda
