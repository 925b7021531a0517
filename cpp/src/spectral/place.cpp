#include "erffast/place.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include "erffast/kernels.hpp"
#include "erffast/threads.hpp"

namespace erffast {
namespace {

constexpr Index large_page = Index{1} << 21;

// Returns the largest absolute value written.
template <class T>
T place_row(const Placed& p, Index j, T* target) {
  const double* row = p.pixels + (p.first[0] + j) % p.height * p.pitch;
  Index from = p.first[1] % p.width;
  for (Index k = 0; k < p.columns; from = 0) {
    const Index count = std::min(p.width - from, p.columns - k);
    for (Index i = 0; i < count; ++i) target[k + i] = static_cast<T>(p.factor * row[from + i]);
    k += count;
  }
  return kernels_of<T>(kernel_table()).max_abs(target, p.columns);
}

}  // namespace

template <class T>
void place(const std::vector<Placed>& images, T* target, Index height, Index width, int threads, double* tops, Monitor& monitor) {
  FlushDenormals flush;
  // Rows of a task: new pages are made by the thread that writes them. Two threads that come to one large page would both clear it,
  // so that tasks are as large, where each thread still has some.
  const Index n = static_cast<Index>(images.size()), row = std::max<Index>(width * static_cast<Index>(sizeof(T)), 1);
  const Index band = std::clamp<Index>(std::min(large_page / row, n * height / (4 * threads)), 32, std::max<Index>(height, 32));
  const Index bands = (height + band - 1) / band;
  std::vector<T> largest(static_cast<std::size_t>(n * bands), T(0));
  std::atomic<Index> next{0};
  Team team(n * height * width < 100'000 ? 1 : threads);
  team.run([&](int thread) {
    for (Index task = next++; task < n * bands && !monitor.stopped(); task = next++) {
      const Index image = task / bands, first = task % bands * band;
      const Placed& p = images[static_cast<std::size_t>(image)];
      T& top = largest[static_cast<std::size_t>(task)];
      for (Index y = first; y < std::min(first + band, height); ++y) {
        T* to = target + (image * height + y) * width;
        const bool inside = y >= p.y && y < p.y + p.rows;
        std::fill(to, to + (inside ? p.x : width), T(0));
        if (!inside) continue;
        top = std::max(top, place_row(p, y - p.y, to + p.x));
        std::fill(to + p.x + p.columns, to + width, T(0));
      }
      if (thread == 0) monitor.tick(band * width);
    }
  });
  monitor.throw_if_stopped();
  for (Index i = 0; i < n; ++i) {
    const auto mine = largest.begin() + i * bands;
    tops[i] = bands > 0 ? static_cast<double>(*std::max_element(mine, mine + bands)) : 0.0;
  }
}

template void place(const std::vector<Placed>&, double*, Index, Index, int, double*, Monitor&);
template void place(const std::vector<Placed>&, float*, Index, Index, int, double*, Monitor&);

void weigh(const double* pixels, Index rows, Index columns, Index pitch, double* peaks, double* energies) {
  FlushDenormals flush;
  const Kernels<double>& kernels = kernel_table().f64;
  for (Index y = 0; y < rows; ++y, pixels += pitch) {
    peaks[y] = kernels.max_abs(pixels, columns);
    energies[y] = kernels.sum_of_squares(pixels, columns, 1.0);
  }
}

}  // namespace erffast
