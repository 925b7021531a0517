#include "outer.cuh"

#include "outer.hpp"

#include <cmath>
#include <vector>

#include "memory.hpp"
#include "stream.hpp"

namespace erffast::cuda {

template <class T>
void outer(const double* rows, Index n_rows, const double* columns, Index n_columns, int shift, T* out) {
  std::vector<double> scaled(rows, rows + n_rows);
  for (double& v : scaled) {
    v = std::ldexp(v, shift);
    if (std::abs(v) < 0x1p-1022) v = 0;
  }
  DeviceArray<double> down(n_rows), across(n_columns);
  Stream stream;
  down.from_host(scaled.data(), n_rows, stream);
  across.from_host(columns, n_columns, stream);
  const OuterArguments<T> o{down.data(), across.data(), out, n_rows, n_columns, outer_pitch<T>(n_columns)};
  constexpr Index line = 16 / static_cast<Index>(sizeof(T));
  const Index blocks = (o.pitch / line + outer_threads - 1) / outer_threads * ((n_rows + outer_rows - 1) / outer_rows);
  check(launch(outer_kernel<T>, dim3(static_cast<unsigned>(blocks)), dim3(outer_threads), 0, stream, o), "launching a kernel");
  stream.wait();
}

template void outer(const double*, Index, const double*, Index, int, float*);
template void outer(const double*, Index, const double*, Index, int, double*);

}  // namespace erffast::cuda
