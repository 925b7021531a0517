// Sums over all taps, once: eight kernels side by side, pieces of kernels shared out to threads and added up in order.
#include "erffast/laws.hpp"

#include <algorithm>
#include <cmath>

#include "aligned.hpp"
#include "erffast/kernels.hpp"
#include "erffast/threads.hpp"

namespace erffast {
namespace {

constexpr Index together = 8;
constexpr Index least_piece = 512, most_pieces = 64;  // of kernels; certificate.py counts roundings by them
// Multiply-adds: those of 5000 kernels of 7 x 7 taps take less than a millisecond, and a second thread saves none of it.
constexpr Index worth_a_thread = 50'000'000;

// Kernels [first, first + together) as [rows, columns, together]; past the last one, a single tap.
void gather(const Kernels2D& k, Index first, double* out) {
  const Index area = k.rows * k.columns;
  for (Index lane = 0; lane < together; ++lane) {
    const double* taps = k.taps + (first + lane) * k.stride;
    if (first + lane < k.n) {
      for (Index i = 0; i < area; ++i) out[i * together + lane] = taps[i];
    } else {
      for (Index i = 0; i < area; ++i) out[i * together + lane] = i == 0 ? 1.0 : 0.0;
    }
  }
}

// Sums of `count` masses of kernels side by side, `pitch` masses apart; of the first `kernels` of them.
void project(const double* masses, Index count, Index pitch, Index kernels, double* out) {
  double sums[together] = {};
  for (Index i = 0; i < count; ++i) {
    for (Index lane = 0; lane < together; ++lane) sums[lane] += masses[i * pitch * together + lane];
  }
  std::copy_n(sums, kernels, out);
}

}  // namespace

void steps(const Kernels2D& k, double* lags, double* down, double* along, int threads, Monitor& monitor) {
  FlushDenormals flush;
  const BandKernels& kernels = *kernel_table().band;
  const Index area = k.rows * k.columns, width = 2 * k.columns - 1, n_lags = k.rows * width;
  const Index groups = (k.n + together - 1) / together;
  const Index pieces = std::clamp<Index>(k.n / least_piece, 1, most_pieces);
  std::vector<double> sums(static_cast<std::size_t>(pieces * n_lags));
  Team team(k.n * area * area < worth_a_thread ? 1 : static_cast<int>(std::min<Index>(threads, pieces)));
  team.run([&](int thread) {
    const Table masses(area * together), gathered(n_lags * together);
    double *buffer = masses.data(), *found = gathered.data();
    for (Index piece = first_item(pieces, thread, team.size()); piece < first_item(pieces, thread + 1, team.size()); ++piece) {
      double* sum = sums.data() + piece * n_lags;
      const auto add = [&](Index lanes) {
        for (Index i = 0; i < n_lags; ++i) {
          for (Index lane = 0; lane < lanes; ++lane) sum[i] += found[i * together + lane];
        }
        std::fill_n(found, n_lags * together, 0.0);
      };
      for (Index g = groups * piece / pieces; g < groups * (piece + 1) / pieces && !monitor.stopped(); ++g) {
        const Index first = g * together, here = std::min(together, k.n - first);
        if (here < together) add(together);
        gather(k, first, buffer);
        kernels.correlate(buffer, k.rows, k.columns, found);
        for (Index y = 0; y < k.rows; ++y) project(buffer + y * k.columns * together, k.columns, 1, here, down + y * k.n + first);
        for (Index x = 0; x < k.columns; ++x) project(buffer + x * together, k.rows, k.columns, here, along + x * k.n + first);
        if (here < together) add(here);
        if (thread == 0) monitor.tick(area * area * together);
      }
      add(together);
    }
  });
  monitor.throw_if_stopped();
  for (Index i = 0; i < n_lags; ++i) {
    double total = 0;
    for (Index piece = 0; piece < pieces; ++piece) total += sums[static_cast<std::size_t>(piece * n_lags + i)];
    const Index y = i / width, x = i % width;
    lags[(k.rows - 1 + y) * width + x] = total;
    if (y > 0) lags[(k.rows - 1 - y) * width + width - 1 - x] = total;
  }
}

void tilted(const double* masses, Index side, Index n, const double* factors, Index times, double least, double* logs) {
  FlushDenormals flush;
  const BandKernels& kernels = *kernel_table().band;
  for (Index t = 0; t < times; ++t, factors += side) {
    double product[together];
    std::int64_t exponents[together] = {};
    std::fill_n(product, together, 1.0);
    const Index whole = n - n % together;
    kernels.tilt(masses, side, n, whole, factors, least, product, exponents);
    double mantissa = 1;
    Index exponent = 0;
    for (Index p = whole; p < n; ++p) {
      double sum = 0;
      for (Index j = 0; j < side; ++j) sum += factors[j] * masses[j * n + p];
      int e;
      mantissa = std::frexp(mantissa * std::max(sum, least), &e);
      exponent += e;
    }
    for (Index lane = 0; lane < together; ++lane) {
      mantissa *= product[lane];
      exponent += exponents[lane];
    }
    logs[t] = std::log(mantissa) + static_cast<double>(exponent) * 0.6931471805599453;
  }
}

}  // namespace erffast
