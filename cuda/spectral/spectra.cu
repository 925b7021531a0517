#include "spectral/spectra.cuh"

#include "spectral/spectra.hpp"

#include "fetched.hpp"
#include "spectral/fourier.hpp"
#include "spectral/spectrum.hpp"
#include "spectral/tables.hpp"

namespace erffast::cuda {
namespace {

const dim3 block(look_threads);

// Where the quantiles of a draw's energy fall among its rows, and how much energy of the row is left of each.
std::vector<InRow> rows_of(const double2* rows, Index n, Index samples, Index first_row) {
  double total = 0, before = 0;
  for (Index r = 0; r < n; ++r) total += rows[r].y;
  std::vector<InRow> found;
  Index r = 0;
  for (Index i = 0; i < samples; ++i) {
    const double wanted = total * (static_cast<double>(i) + 0.5) / static_cast<double>(samples);
    while (r + 1 < n && before + rows[r].y <= wanted) before += rows[r++].y;
    found.push_back({first_row + (total > 0 ? r : 0), wanted - before});
  }
  return found;
}

}  // namespace

Spectra::Spectra(const std::vector<Layers>& layers, const Frequencies& f, Index draws, Index memory_limit, Monitor& monitor)
    : f_(f), draws_(draws), session_(std::make_shared<Session>(memory_limit)), exponents_(static_cast<std::size_t>(draws)),
      values_(spectrum(layers, f, draws, *session_, monitor, exponents_.data())) {}

void Spectra::values(Complex* out) const {
  const OnDevice there(session_->device);
  values_.to_host(reinterpret_cast<double2*>(out), draws_ * f_.size(), session_->stream);
  session_->stream.wait();
}

void Spectra::quantiles(Index samples, Index* places, double* squares) const {
  const OnDevice there(session_->device);
  Stream& stream = session_->stream;
  Budget* const budget = &session_->budget;
  const Index rows = draws_ * f_.rows(), n = draws_ * samples;
  const int columns = static_cast<int>(f_.columns());
  DeviceArray<double2> sums(rows, budget);
  check(launch(row_energy_kernel, warps_for(rows), block, 0, stream, values_.data(), rows, columns, sums.data()), "adding up energies");
  const std::vector<double2> found = fetched(sums, stream);

  std::vector<InRow> looks;
  for (Index d = 0; d < draws_; ++d) {
    const double2* mine = found.data() + d * f_.rows();
    squares[d] = 0;
    for (Index r = 0; r < f_.rows(); ++r) squares[d] += mine[r].x;
    const std::vector<InRow> of_draw = rows_of(mine, f_.rows(), samples, d * f_.rows());
    looks.insert(looks.end(), of_draw.begin(), of_draw.end());
  }
  Tables tables;
  const auto at = tables.add(looks);
  tables.upload(stream, budget);
  DeviceArray<int> on_device(n, budget);
  check(launch(column_kernel, warps_for(n), block, 0, stream, values_.data(), columns, tables.at(at), n, on_device.data()), "looking for quantiles");
  const std::vector<int> column = fetched(on_device, stream);
  for (Index i = 0; i < n; ++i) {
    const bool empty = !(squares[i / samples] > 0);
    places[2 * i] = empty ? 0 : looks[static_cast<std::size_t>(i)].row % f_.rows();
    places[2 * i + 1] = empty ? 0 : column[static_cast<std::size_t>(i)];
  }
}

void Spectra::at(const Index* places, Index n, Complex* out) const {
  const OnDevice there(session_->device);
  std::vector<Index> indices;
  for (Index i = 0; i < draws_ * n; ++i) indices.push_back((i / n * f_.rows() + places[2 * i]) * f_.columns() + places[2 * i + 1]);
  Stream& stream = session_->stream;
  Tables tables;
  const auto at = tables.add(indices);
  tables.upload(stream, &session_->budget);
  DeviceArray<double2> found(draws_ * n, &session_->budget);
  check(launch(gather_kernel, threads_for(draws_ * n), block, 0, stream, values_.data(), tables.at(at), draws_ * n, found.data()),
        "reading frequencies");
  found.to_host(reinterpret_cast<double2*>(out), draws_ * n, stream);
  stream.wait();
}

SpectrumBlocks Spectra::blocks(Index draw, Index down, Index across) const {
  const OnDevice there(session_->device);
  Stream& stream = session_->stream;
  const Index n = down * across;
  DeviceArray<BlockFound> on_device(n, &session_->budget);
  check(launch(blocks_kernel, warps_for(n), block, 0, stream, values_.data() + draw * f_.size(), static_cast<int>(f_.rows()),
               static_cast<int>(f_.columns()), static_cast<int>(down), static_cast<int>(across), on_device.data()),
        "looking at blocks of a spectrum");
  SpectrumBlocks result;
  for (const BlockFound& b : fetched(on_device, stream)) {
    result.places.insert(result.places.end(), {b.place / f_.columns(), b.place % f_.columns()});
    result.largest.push_back(b.largest);
    result.sums.push_back(2 * b.sum);
  }
  return result;
}

PeriodImages Spectra::inverse() {
  const OnDevice there(session_->device);
  PeriodImages images(session_, draws_, f_.height, f_.width);
  inverse_transform(values_.data(), images.data(), draws_, f_.height, f_.width, *session_);
  values_ = DeviceArray<double2>();
  return images;
}

}  // namespace erffast::cuda
