// Outer products: the images of separable results, formed on demand.
#include <cmath>

#include "erffast/separable.hpp"
#include "erffast/threads.hpp"

namespace erffast {

template <class T>
void outer(const double* rows, Index n_rows, const double* columns, Index n_columns, int shift, T* out, int threads, Monitor& monitor) {
  FlushDenormals flush;
  Team team(n_rows * n_columns < 100'000 ? 1 : threads);
  team.run([&](int thread) {
    for (Index i = first_item(n_rows, thread, team.size()); i < first_item(n_rows, thread + 1, team.size()); ++i) {
      if (monitor.stopped()) return;
      const double factor = std::ldexp(rows[i], shift);
      T* target = out + i * n_columns;
      for (Index j = 0; j < n_columns; ++j) target[j] = static_cast<T>(factor * columns[j]);
      if (thread == 0) monitor.tick(n_columns);
    }
  });
  monitor.throw_if_stopped();
}

template void outer(const double*, Index, const double*, Index, int, float*, int, Monitor&);
template void outer(const double*, Index, const double*, Index, int, double*, int, Monitor&);

}  // namespace erffast
