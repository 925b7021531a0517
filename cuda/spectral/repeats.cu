#include "spectral/repeats.cuh"

#include "spectral/repeats_on_device.hpp"

#include <algorithm>
#include <cmath>

#include "devices.hpp"
#include "fetched.hpp"
#include "spectral/coarse.hpp"
#include "spectral/tables.hpp"
#include "spectral/turns.hpp"

namespace erffast::cuda {
namespace {

const dim3 block(look_threads);
const char* const doing = "raising repeated layers to a power";

std::vector<Exact> circle(Index n) {
  const Turns turns(n);
  std::vector<Exact> table;
  for (Index k = 0; k < n; ++k) {
    const ExactComplex z = turns.exact(k);
    table.push_back({z.re.hi, z.re.lo});
    table.push_back({z.im.hi, z.im.lo});
  }
  return table;
}

class Powers {
 public:
  Powers(const std::vector<const Layers*>& runs, const Frequencies& f, Index draws, Session& session, Monitor& monitor, DeviceSpectrum& target)
      : runs_(runs), f_(f), draws_(draws), rows_(draws * f.rows()), session_(session), monitor_(monitor),
        state_{target.values.data(), target.exponents.data()}, ranges_(rows_, &session.budget) {}

  void run(Index* exponents) {
    find_ranges();
    for (Index d = 0; d < draws_; ++d) exponents[d] += bases_[static_cast<std::size_t>(d)];
    Tables tables;
    std::vector<Tables::Place<double>> places;
    for (const Layers* run : runs_) places.push_back(tables.add(run->taps, run->tap_draws * run->height * run->width));
    const auto bases = tables.add(bases_);
    const Tables::Place<Exact> turns[2] = {tables.add(circle(f_.height)), tables.add(circle(f_.width))};
    tables.upload(session_.stream, &session_.budget);
    std::vector<Repeated> repeated;
    Index work = 200;  // of a frequency
    for (std::size_t r = 0; r < runs_.size(); ++r) {
      const Layers& run = *runs_[r];
      const Index area = run.height * run.width;
      repeated.push_back({tables.at(places[r]), run.tap_draws == 1 ? 0 : area, run.count, static_cast<int>(run.height),
                          static_cast<int>(run.width), {run.spacing[0], run.spacing[1]}});
      work += 60 * area + 4000;
    }
    Tables descriptions;
    const auto all = descriptions.add(repeated);
    descriptions.upload(session_.stream, &session_.budget);
    const PowersInput input{descriptions.at(all),
                            static_cast<int>(runs_.size()),
                            ranges_.data(),
                            tables.at(bases),
                            {tables.at(turns[0]), tables.at(turns[1])},
                            {static_cast<int>(f_.height), static_cast<int>(f_.width)},
                            static_cast<int>(f_.rows()),
                            static_cast<int>(f_.columns()),
                            static_cast<int>(f_.banded ? f_.band[0] : f_.rows())};
    const Index n = draws_ * f_.size(), some = std::max<Index>(launch_work() / work, 1 << 16);
    for (Index first = 0; first < n; first += some) {
      const Index count = std::min(some, n - first);
      check(launch(powers_kernel, threads_for(count), block, 0, session_.stream, state_, input, first, count),
            doing);
      session_.stream.wait(&monitor_);
    }
  }

 private:
  // Of each row, the columns that are not negligible, by logarithms of the whole product's size.
  void find_ranges() {
    const Index n = draws_ * f_.size();
    const int columns = static_cast<int>(f_.columns());
    Stream& stream = session_.stream;
    DeviceArray<double> logs(n, &session_.budget), largest(rows_, &session_.budget);
    check(launch(log_kernel, grid_for(n), dim3(each_threads), 0, stream, state_, n, logs.data()), doing);
    for (const Layers* run : runs_) {
      const CoarseProduct factor({run}, f_, draws_, session_, monitor_);
      check(launch(add_log_kernel, grid_for(n), dim3(each_threads), 0, stream, factor.view(), n, static_cast<double>(run->count), logs.data()), doing);
      stream.wait(&monitor_);
    }
    check(launch(largest_log_kernel, warps_for(rows_), block, 0, stream, logs.data(), rows_, columns, largest.data()), doing);
    const std::vector<double> found = fetched(largest, stream);
    std::vector<double> tops;
    for (auto row = found.begin(); row != found.end(); row += f_.rows()) {
      const double top = *std::max_element(row, row + f_.rows());
      tops.push_back(top);
      bases_.push_back(std::isfinite(top) ? static_cast<Index>(std::floor(top)) : 0);
    }
    Tables tables;
    const auto at = tables.add(tops);
    tables.upload(stream, &session_.budget);
    check(launch(range_kernel, warps_for(rows_), block, 0, stream, logs.data(), rows_, f_.rows(), columns, tables.at(at), ranges_.data()), doing);
    stream.wait();
  }

  const std::vector<const Layers*>& runs_;
  const Frequencies& f_;
  Index draws_, rows_;
  Session& session_;
  Monitor& monitor_;
  ProductState state_;
  DeviceArray<int2> ranges_;
  std::vector<Index> bases_;  // [draws]
};

}  // namespace

void multiply_powers(const std::vector<const Layers*>& runs, const Frequencies& frequencies, Index draws, Session& session, Monitor& monitor,
                     DeviceSpectrum& target, Index* exponents) {
  Powers(runs, frequencies, draws, session, monitor, target).run(exponents);
}

}  // namespace erffast::cuda
