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

// The profiles on the device, the first times 2**shift.
struct Factors {
  Factors(const double* r, Index n_rows, const double* c, Index n_columns, int shift, Stream& stream) : scaled(r, r + n_rows), rows(n_rows), columns(n_columns) {
    for (double& v : scaled) {
      v = std::ldexp(v, shift);
      if (std::abs(v) < 0x1p-1022) v = 0;
    }
    rows.from_host(scaled.data(), n_rows, stream);
    columns.from_host(c, n_columns, stream);
  }
  std::vector<double> scaled;  // until they are copied
  DeviceArray<double> rows, columns;
};

template <class T>
void multiply(const OuterArguments<T>& o, Stream& stream) {
  constexpr Index line = 16 / static_cast<Index>(sizeof(T));
  const Index blocks = (o.pitch / line + outer_threads - 1) / outer_threads * ((o.n_rows + outer_rows - 1) / outer_rows);
  check(launch(outer_kernel<T>, dim3(static_cast<unsigned>(blocks)), dim3(outer_threads), 0, stream, o), "launching a kernel");
}

}  // namespace

template <class T>
void outer_on_device(const double* rows, Index n_rows, const double* columns, Index n_columns, int shift, T* out) {
  Stream stream;
  const Factors factors(rows, n_rows, columns, n_columns, shift, stream);
  multiply(OuterArguments<T>{factors.rows.data(), factors.columns.data(), out, n_rows, n_columns, outer_pitch<T>(n_columns), {T(1), T(1)}}, stream);
  stream.wait();
}

template void outer_on_device(const double*, Index, const double*, Index, int, float*);
template void outer_on_device(const double*, Index, const double*, Index, int, double*);

template <class T>
void outer(const double* rows, Index n_rows, const double* columns, Index n_columns, int shift, int power, T* out, Monitor& monitor) {
  if (n_rows == 0 || n_columns == 0) return;
  const Index pitch = outer_pitch<T>(n_columns);
  const Index at_once = std::clamp<Index>(most_bytes / (pitch * static_cast<Index>(sizeof(T))), 1, n_rows);
  Stream stream;
  const Factors factors(rows, n_rows, columns, n_columns, shift, stream);
  DeviceArray<T> piece(at_once * pitch);
  const Power<T> last{static_cast<T>(std::ldexp(1.0, power / 2)), static_cast<T>(std::ldexp(1.0, power - power / 2))};
  for (Index first = 0; first < n_rows; first += at_once) {
    const Index count = std::min(at_once, n_rows - first);
    multiply(OuterArguments<T>{factors.rows.data() + first, factors.columns.data(), piece.data(), count, n_columns, pitch, last}, stream);
    check(cudaMemcpy2DAsync(out + first * n_columns, static_cast<std::size_t>(n_columns) * sizeof(T), piece.data(), static_cast<std::size_t>(pitch) * sizeof(T),
                            static_cast<std::size_t>(n_columns) * sizeof(T), static_cast<std::size_t>(count), cudaMemcpyDeviceToHost, stream),
          "copying from the device");
    stream.wait(&monitor);
  }
}

template void outer(const double*, Index, const double*, Index, int, int, float*, Monitor&);
template void outer(const double*, Index, const double*, Index, int, int, double*, Monitor&);

}  // namespace erffast::cuda
