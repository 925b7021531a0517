#include "erffast/combine.hpp"

#include <algorithm>
#include <vector>

#include "erffast/kernels.hpp"
#include "erffast/threads.hpp"

namespace erffast {

void combine(const double* weights, const double* lines, Index n_lines, Index pitch, double* out, Index height, Index width, int threads,
             Monitor& monitor) {
  FlushDenormals flush;
  const Kernels<double>& kernels = kernel_table().f64;
  constexpr Index tile_rows = 4, tile_columns = 16;
  const Index bands = (height + tile_rows - 1) / tile_rows;
  Team team(height * width * n_lines < 1'000'000 ? 1 : threads);
  team.run([&](int thread) {
    double tile[tile_rows * tile_columns];
    // A panel of columns stays in the first-level cache for all rows of the thread's share: copied, for its lines are far apart
    // and would meet in few sets of the cache.
    std::vector<double> panel(static_cast<std::size_t>(n_lines * tile_columns));
    const Index first = first_item(bands, thread, team.size()) * tile_rows;
    const Index last = std::min(first_item(bands, thread + 1, team.size()) * tile_rows, height);
    for (Index x = 0; x < width && !monitor.stopped(); x += tile_columns) {
      const Index columns = std::min(tile_columns, width - x);
      for (Index k = 0; k < n_lines; ++k) std::copy_n(lines + k * pitch + x, tile_columns, panel.begin() + k * tile_columns);
      for (Index y = first; y < last; y += tile_rows) {
        const Index rows = std::min(tile_rows, last - y);
        kernels.tile(tile, weights + y * n_lines, rows, panel.data(), n_lines);
        for (Index i = 0; i < rows; ++i) std::copy_n(tile + i * tile_columns, columns, out + (y + i) * width + x);
      }
      if (thread == 0) monitor.tick((last - first) * columns * n_lines);
    }
  });
  monitor.throw_if_stopped();
}

}  // namespace erffast
