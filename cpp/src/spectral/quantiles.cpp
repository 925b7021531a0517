// Places of energy, found from the energies of the rows.
#include <algorithm>
#include <vector>

#include "erffast/kernels.hpp"
#include "erffast/spectrum.hpp"
#include "erffast/threads.hpp"

namespace erffast {
namespace {

// A row's sum of squares, and its energy: all but the ends stand for their conjugates too.
struct RowSums {
  double squares, energy;
};

// Quantiles along the rows, then along the row they fall into.
void quantiles_of(const Frequencies& f, const Complex* values, const RowSums* rows, Index samples, Index* places) {
  const auto energy = [&](Index row, Index v) {
    const bool once = v == 0 || (!f.banded && v == f.columns() - 1);
    return (once ? 1.0 : 2.0) * std::norm(values[row * f.columns() + v]);
  };
  double total = 0;
  for (Index r = 0; r < f.rows(); ++r) total += rows[r].energy;
  double before = 0;  // energy of the rows before r
  Index r = 0;
  for (Index i = 0; i < samples; ++i) {
    const double wanted = total * (static_cast<double>(i) + 0.5) / static_cast<double>(samples);
    while (r + 1 < f.rows() && before + rows[r].energy <= wanted) before += rows[r++].energy;
    double sum = before;
    Index v = 0;
    while (v + 1 < f.columns() && sum + energy(r, v) <= wanted) sum += energy(r, v++);
    places[2 * i] = f.row_frequency(total > 0 ? r : 0);
    places[2 * i + 1] = total > 0 ? v : 0;
  }
}

}  // namespace

void quantiles(const Frequencies& f, const Complex* values, Index draws, Index samples, int threads, Index* places, double* squares) {
  FlushDenormals flush;
  const Kernels<double>& kernels = kernel_table().f64;
  std::vector<RowSums> rows(static_cast<std::size_t>(draws * f.rows()));
  Team team(draws * f.size() < 100'000 ? 1 : threads);
  team.run([&](int thread) {
    const Index last = first_item(draws * f.rows(), thread + 1, team.size());
    for (Index r = first_item(draws * f.rows(), thread, team.size()); r < last; ++r) {
      const Complex* row = values + r * f.columns();
      const double sum = kernels.sum_of_squares(reinterpret_cast<const double*>(row), 2 * f.columns(), 1.0);
      const double once = std::norm(row[0]) + (f.banded || f.columns() == 1 ? 0.0 : std::norm(row[f.columns() - 1]));
      rows[static_cast<std::size_t>(r)] = {sum, 2 * sum - once};
    }
  });
  team.run([&](int thread) {
    for (Index d = first_item(draws, thread, team.size()); d < first_item(draws, thread + 1, team.size()); ++d) {
      const RowSums* mine = rows.data() + d * f.rows();
      squares[d] = 0;
      for (Index r = 0; r < f.rows(); ++r) squares[d] += mine[r].squares;
      quantiles_of(f, values + d * f.size(), mine, samples, places + 2 * d * samples);
    }
  });
}

}  // namespace erffast
