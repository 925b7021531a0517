// Transforms shared out to threads: several columns at a time down the spectrum, then pairs of rows, all in place.
#include "erffast/fourier.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include "aligned.hpp"
#include "erffast/kernels.hpp"
#include "erffast/threads.hpp"
#include "turns.hpp"

namespace erffast {
namespace {

// The passes of one length, with their tables.
class Plan {
 public:
  explicit Plan(Index n) : n_(n) {
    const Turns circle(n);
    const std::vector<Index> radices = factors(n);
    std::vector<std::size_t> starts;
    Index s = 1;
    for (const Index radix : radices) {
      const Index q = n / s / radix;
      passes_.push_back({radix, s, q, nullptr, nullptr});
      starts.push_back(tables_.size());
      for (Index j = 0; j < q; ++j) {
        for (Index k = 1; k < radix; ++k) add(circle, turn(j * s, k, n));
      }
      starts.push_back(tables_.size());
      for (Index k = 0; k < radix; ++k) add(circle, turn(n / radix, k, n));
      s *= radix;
    }
    for (std::size_t i = 0; i < passes_.size(); ++i) {
      passes_[i].turns = tables_.data() + starts[2 * i];
      passes_[i].roots = tables_.data() + starts[2 * i + 1];
    }
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  FourierPlan passes() const { return {n_, static_cast<Index>(passes_.size()), passes_.data()}; }

 private:
  // Fours first, then primes from 2 on.
  static std::vector<Index> factors(Index n) {
    std::vector<Index> found;
    for (; n % 4 == 0; n /= 4) found.push_back(4);
    for (Index p = 2; n > 1; ++p) {
      if (p * p > n) p = n;
      for (; n % p == 0; n /= p) found.push_back(p);
    }
    return found;
  }

  void add(const Turns& circle, Index k) {
    const ExactComplex z = circle.exact(k);
    tables_.push_back(z.re.hi);
    tables_.push_back(z.im.hi);
  }

  Index n_;
  std::vector<FourierPass> passes_;
  std::vector<double> tables_;
};

class Transform {
 public:
  Transform(Complex* values, Index images, Index rows, Index width, double* peaks, double* energies, Monitor& monitor)
      : values_(reinterpret_cast<double*>(values)), images_(images), rows_(rows), columns_(width / 2 + 1), peaks_(peaks), energies_(energies),
        monitor_(monitor), kernels_(*kernel_table().spectral), down_(rows), across_(width), scale_(1.0 / (static_cast<double>(rows) * static_cast<double>(width))),
        column_packs_((columns_ + kernels_.lanes - 1) / kernels_.lanes), row_packs_((rows + 2 * kernels_.lanes - 1) / (2 * kernels_.lanes)),
        found_(static_cast<std::size_t>(images * row_packs_)) {}

  void run(Team& team) {
    if (images_ >= 2 * team.size()) {  // an image stays with a thread, and in its caches
      shared(team, images_, [&](Index image, double* space, bool polls) {
        for (Index p = 0; p < column_packs_ && !monitor_.stopped(); ++p) column_pack(image, p, space, polls);
        for (Index p = 0; p < row_packs_ && !monitor_.stopped(); ++p) row_pack(image, p, space, polls);
      });
    } else {
      shared(team, images_ * column_packs_, [&](Index i, double* space, bool polls) { column_pack(i / column_packs_, i % column_packs_, space, polls); });
      shared(team, images_ * row_packs_, [&](Index i, double* space, bool polls) { row_pack(i / row_packs_, i % row_packs_, space, polls); });
    }
    for (Index i = 0; i < images_; ++i) peaks_[i] = *std::max_element(found_.begin() + i * row_packs_, found_.begin() + (i + 1) * row_packs_);
  }

 private:
  template <class Task>
  void shared(Team& team, Index tasks, const Task& task) {
    std::atomic<Index> next{0};
    team.run([&](int thread) {
      const Table space(4 * kernels_.lanes * std::max(rows_, across_.passes().n));
      for (Index i = next++; i < tasks && !monitor_.stopped(); i = next++) task(i, space.data(), thread == 0);
    });
    monitor_.throw_if_stopped();
  }

  void column_pack(Index image, Index pack, double* space, bool polls) {
    const Index first = pack * kernels_.lanes;
    kernels_.transform_columns(row(image, 0) + 2 * first, 2 * columns_, std::min(kernels_.lanes, columns_ - first), down_.passes(), space);
    if (polls) monitor_.tick(rows_ * kernels_.lanes * 30);
  }

  void row_pack(Index image, Index pack, double* space, bool polls) {
    const Index first = pack * 2 * kernels_.lanes, count = std::min(2 * kernels_.lanes, rows_ - first);
    found_[static_cast<std::size_t>(image * row_packs_ + pack)] =
        kernels_.transform_rows(row(image, first), 2 * columns_, count, scale_, across_.passes(), space, energies_ + image * rows_ + first);
    if (polls) monitor_.tick(columns_ * count * 30);
  }

  double* row(Index image, Index y) const { return values_ + (image * rows_ + y) * 2 * columns_; }

  double* values_;
  Index images_, rows_, columns_;
  double *peaks_, *energies_;
  Monitor& monitor_;
  const SpectralKernels& kernels_;
  Plan down_, across_;
  double scale_;
  Index column_packs_, row_packs_;
  std::vector<double> found_;  // the largest value of each pack of rows
};

}  // namespace

void inverse_transform(Complex* values, Index images, Index rows, Index width, int threads, double* peaks, double* energies,
                       Monitor& monitor) {
  FlushDenormals flush;
  Team team(images * rows * width < 20'000 ? 1 : threads);
  Transform(values, images, rows, width, peaks, energies, monitor).run(team);
}

}  // namespace erffast
