#include "erffast/place.hpp"

#include <algorithm>
#include <atomic>

#include "erffast/threads.hpp"

namespace erffast {
namespace {

template <class T>
void place_row(const Placed& p, Index j, T* target) {
  const double* row = p.pixels + (p.first[0] + j) % p.height * p.pitch;
  Index from = p.first[1] % p.width;
  for (Index k = 0; k < p.columns; from = 0) {
    const Index count = std::min(p.width - from, p.columns - k);
    for (Index i = 0; i < count; ++i) target[k + i] = static_cast<T>(p.factor * row[from + i]);
    k += count;
  }
}

}  // namespace

template <class T>
void place(const std::vector<Placed>& images, T* target, Index height, Index width, int threads, Monitor& monitor) {
  FlushDenormals flush;
  constexpr Index band = 32;  // rows of a task: new pages are made by the thread that writes them
  const Index n = static_cast<Index>(images.size()), bands = (height + band - 1) / band;
  std::atomic<Index> next{0};
  Team team(n * height * width < 100'000 ? 1 : threads);
  team.run([&](int thread) {
    for (Index task = next++; task < n * bands && !monitor.stopped(); task = next++) {
      const Index image = task / bands, first = task % bands * band;
      const Placed& p = images[static_cast<std::size_t>(image)];
      for (Index y = first; y < std::min(first + band, height); ++y) {
        T* row = target + (image * height + y) * width;
        const bool inside = y >= p.y && y < p.y + p.rows;
        std::fill(row, row + (inside ? p.x : width), T(0));
        if (!inside) continue;
        place_row(p, y - p.y, row + p.x);
        std::fill(row + p.x + p.columns, row + width, T(0));
      }
      if (thread == 0) monitor.tick(band * width);
    }
  });
  monitor.throw_if_stopped();
}

template void place(const std::vector<Placed>&, double*, Index, Index, int, Monitor&);
template void place(const std::vector<Placed>&, float*, Index, Index, int, Monitor&);

}  // namespace erffast
