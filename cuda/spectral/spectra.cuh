// What is asked of spectra on the device: energies, quantiles, blocks, values at places.
//
// Expected on an H100, not measured: each reads its numbers once; a spectrum of 2016 x 2016 pixels takes 32 MB, 11 us a pass.
#pragma once

#include "spectral/warps.cuh"

namespace erffast::cuda {

// A warp for each row of values [rows, columns]: sum of |z|^2 and, counting all but the ends twice, its energy. out [rows] (sum, energy).
__global__ void __launch_bounds__(look_threads) row_energy_kernel(const double2* values, Index rows, int columns, double2* out) {
  const Index row = warp_of_grid();
  if (row >= rows) return;
  const double2* z = values + row * columns;
  double sum = 0;
  for (int v = lane(); v < columns; v += warp_lanes) sum += z[v].x * z[v].x + z[v].y * z[v].y;
  sum = warp_sum(sum);
  if (lane() != 0) return;
  const double first = z[0].x * z[0].x + z[0].y * z[0].y, end = z[columns - 1].x * z[columns - 1].x + z[columns - 1].y * z[columns - 1].y;
  out[row] = make_double2(sum, 2 * sum - first - (columns > 1 ? end : 0));
}

// A warp for each (row, wanted): the first column of values [.., columns] where the energy of the row up to it exceeds `wanted`, or the
// last.
struct InRow {
  Index row;
  double wanted;
};
__global__ void __launch_bounds__(look_threads) column_kernel(const double2* values, int columns, const InRow* looks, Index n, int* out) {
  const Index look = warp_of_grid();
  if (look >= n) return;
  const double2* z = values + looks[look].row * columns;
  const double wanted = looks[look].wanted;
  double before = 0;
  int found = columns - 1;
  for (int first = 0; first < columns; first += warp_lanes) {
    const int v = first + lane();
    double sum = 0;
    if (v < columns) sum = (v == 0 || v == columns - 1 ? 1.0 : 2.0) * (z[v].x * z[v].x + z[v].y * z[v].y);
    for (int step = 1; step < warp_lanes; step *= 2) {
      const double left = __shfl_up_sync(all_lanes, sum, static_cast<unsigned>(step));
      if (lane() >= step) sum += left;
    }
    const unsigned beyond = __ballot_sync(all_lanes, v < columns && before + sum > wanted);
    if (beyond != 0) {
      found = first + __ffs(static_cast<int>(beyond)) - 1;
      break;
    }
    before += __shfl_sync(all_lanes, sum, warp_lanes - 1);
  }
  if (lane() == 0) out[look] = found;
}

// out[i] = values[at[i]]
__global__ void __launch_bounds__(look_threads) gather_kernel(const double2* values, const Index* at, Index n, double2* out) {
  const Index i = blockIdx.x * Index{look_threads} + threadIdx.x;
  if (i < n) out[i] = values[at[i]];
}

// A warp for each of down * across blocks of a spectrum [rows, columns], each ceil(rows / down) x ceil(columns / across): the largest
// modulus, the first place (row * columns + column) where it stands, and the sum of all.
struct BlockFound {
  double largest, sum;
  Index place;
};
__global__ void __launch_bounds__(look_threads)
    blocks_kernel(const double2* values, int rows, int columns, int down, int across, BlockFound* out) {
  const Index block = warp_of_grid();
  if (block >= Index{down} * across) return;
  const int height = (rows + down - 1) / down, width = (columns + across - 1) / across;
  const int top = static_cast<int>(block / across) * height, left = static_cast<int>(block % across) * width;
  BlockFound mine{-1, 0, Index{top} * columns + left};
  for (int i = lane(); i < height * width; i += warp_lanes) {
    const int row = top + i / width, column = left + i % width;
    if (row >= rows || column >= columns) continue;
    const Index place = static_cast<Index>(row) * columns + column;
    const double2 z = values[place];
    const double size = sqrt(z.x * z.x + z.y * z.y);
    mine.sum += size;
    if (size > mine.largest) {
      mine.largest = size;
      mine.place = place;
    }
  }
  mine.sum = warp_sum(mine.sum);
  for (int step = warp_lanes / 2; step > 0; step /= 2) {
    const double largest = __shfl_xor_sync(all_lanes, mine.largest, step);
    const Index place = __shfl_xor_sync(all_lanes, mine.place, step);
    if (largest > mine.largest || (largest == mine.largest && place < mine.place)) {
      mine.largest = largest;
      mine.place = place;
    }
  }
  if (lane() != 0) return;
  if (mine.largest < 0) mine = {0, 0, 0};  // beyond the last row or column
  out[block] = mine;
}

}  // namespace erffast::cuda
