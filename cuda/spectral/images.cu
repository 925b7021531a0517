// Images on a period, on the device.
#include "spectral/images.cuh"

#include "spectral/images.hpp"

#include <algorithm>

#include "fetched.hpp"
#include "spectral/tables.hpp"

namespace erffast::cuda {
namespace {

unsigned shared_out(Index n) { return static_cast<unsigned>(std::min<Index>((n + look_threads - 1) / look_threads, 1 << 16)); }
const dim3 block(look_threads);

int modulo(Index i, Index n) { return static_cast<int>((i % n + n) % n); }

template <Each each>
std::vector<double> row_sums(const double* pixels, Index rows, Index width, Session& session) {
  DeviceArray<double> sums(rows, &session.budget);
  check(launch(row_sums_kernel<each>, warps_for(rows), block, 0, session.stream, pixels, rows, static_cast<int>(width), sums.data()), "adding up rows");
  return fetched(sums, session.stream);
}

// Strips of rows first, then their sums.
template <Each each>
std::vector<double> column_sums(const double* pixels, Index rows, Index width, Session& session) {
  const Index strips = (rows + strip_rows - 1) / strip_rows, across = threads_for(width).x;
  DeviceArray<double> parts(strips * width, &session.budget);
  check(launch(column_sums_kernel<each>, dim3(static_cast<unsigned>(strips * across)), block, 0, session.stream, pixels, static_cast<int>(rows),
               static_cast<int>(width), parts.data()),
        "adding up columns");
  return strips == 1 ? fetched(parts, session.stream) : column_sums<Each::value>(parts.data(), strips, width, session);
}

}  // namespace

PeriodImages::PeriodImages(std::shared_ptr<Session> session, Index draws, Index height, Index width)
    : session_(std::move(session)), draws_(draws), height_(height), width_(width), pixels_(draws * height * width, &session_->budget) {}

void PeriodImages::scale(double factor, std::vector<double>& peaks, std::vector<double>& energies) {
  const OnDevice there(session_->device);
  const Index rows = draws_ * height_;
  DeviceArray<double2> on_device(rows, &session_->budget);
  check(launch(scale_kernel, warps_for(rows), block, 0, session_->stream, pixels_.data(), rows, static_cast<int>(width_), factor, on_device.data()),
        "looking at images");
  const std::vector<double2> found = fetched(on_device, session_->stream);
  peaks.assign(static_cast<std::size_t>(draws_), 0);
  energies.clear();
  for (Index r = 0; r < rows; ++r) {
    const double2& row = found[static_cast<std::size_t>(r)];
    double& peak = peaks[static_cast<std::size_t>(r / height_)];
    peak = std::max(peak, row.x);
    energies.push_back(row.y);
  }
}

void PeriodImages::clip(Index draw) {
  const OnDevice there(session_->device);
  const Index n = height_ * width_;
  check(launch(clip_kernel, dim3(shared_out(n)), block, 0, session_->stream, pixels_.data() + draw * n, n), "clipping an image");
  session_->stream.wait();
}

std::vector<double> PeriodImages::column_energies(Index draw) const {
  const OnDevice there(session_->device);
  return column_sums<Each::square>(image(draw), height_, width_, *session_);
}

std::vector<double> PeriodImages::sums(Index draw, int axis) const {
  const OnDevice there(session_->device);
  return axis == 0 ? row_sums<Each::size>(image(draw), height_, width_, *session_) : column_sums<Each::size>(image(draw), height_, width_, *session_);
}

double PeriodImages::largest(Index draw, Index row, Index column, Index rows, Index columns) const {
  const OnDevice there(session_->device);
  DeviceArray<double> on_device(rows, &session_->budget);
  check(launch(largest_kernel, warps_for(rows), block, 0, session_->stream, image(draw), static_cast<int>(height_), static_cast<int>(width_),
               modulo(row, height_), modulo(column, width_), static_cast<int>(rows), static_cast<int>(columns), on_device.data()),
        "looking at a seam");
  const std::vector<double> found = fetched(on_device, session_->stream);
  return *std::max_element(found.begin(), found.end());
}

std::vector<Complex> PeriodImages::waves(Index draw, const Index* frequencies, Index n, const Index (&finer)[2], const Index (&first)[2]) const {
  if (n == 0) return {};
  const OnDevice there(session_->device);
  Stream& stream = session_->stream;
  Budget* const budget = &session_->budget;
  std::vector<Index> rows, columns;
  for (Index i = 0; i < n; ++i) {
    rows.push_back(frequencies[2 * i]);
    columns.push_back(frequencies[2 * i + 1]);
  }
  Tables tables;
  const auto vertical = tables.add(rows), horizontal = tables.add(columns);
  tables.upload(stream, budget);
  DeviceArray<double2> down(n * height_, budget), across(n * width_, budget), parts(n * width_, budget), sums(n, budget);
  const char* const doing = "adding up an image with waves";
  const CyclicAxis axes[2] = {{height_, finer[0], first[0]}, {width_, finer[1], first[1]}};
  check(launch(axis_waves_kernel, threads_for(n * height_), block, 0, stream, tables.at(vertical), n, axes[0], down.data()), doing);
  check(launch(axis_waves_kernel, threads_for(n * width_), block, 0, stream, tables.at(horizontal), n, axes[1], across.data()), doing);
  const Index groups = (n + waves_together - 1) / waves_together;
  check(launch(down_kernel, dim3(static_cast<unsigned>(groups * threads_for(width_).x)), block, 0, stream, image(draw), static_cast<int>(height_),
               static_cast<int>(width_), down.data(), static_cast<int>(n), parts.data()),
        doing);
  check(launch(across_kernel, warps_for(n), block, 0, stream, parts.data(), across.data(), n, static_cast<int>(width_), sums.data()), doing);
  std::vector<Complex> out(static_cast<std::size_t>(n));
  sums.to_host(reinterpret_cast<double2*>(out.data()), n, stream);
  stream.wait();
  return out;
}

template <class T>
void PeriodImages::crop_rows(const Crop& crop, Index first, Index rows, double factor, T* out, Index pitch) const {
  check(launch(crop_kernel<T>, dim3(shared_out(rows * crop.columns)), block, 0, session_->stream, image(crop.draw), static_cast<int>(height_),
               static_cast<int>(width_), modulo(crop.row + first, height_), modulo(crop.column, width_), rows, static_cast<int>(crop.columns), factor,
               out, pitch),
        "cropping an image");
}

template <class T>
void PeriodImages::crop(const Crop& crop, double factor, T* out, Index pitch, Monitor& monitor) const {
  if (crop.rows == 0 || crop.columns == 0) return;
  const OnDevice there(session_->device);
  Stream& stream = session_->stream;
  const Index together = std::clamp<Index>(strip_bytes / (crop.columns * static_cast<Index>(sizeof(T))), 1, crop.rows);
  DeviceArray<T> strip(together * crop.columns, &session_->budget);
  for (Index y = 0; y < crop.rows; y += together) {
    const Index rows = std::min(together, crop.rows - y);
    crop_rows(crop, y, rows, factor, strip.data(), crop.columns);
    const auto row_bytes = static_cast<std::size_t>(crop.columns) * sizeof(T);
    check(cudaMemcpy2DAsync(out + y * pitch, static_cast<std::size_t>(pitch) * sizeof(T), strip.data(), row_bytes, row_bytes,
                            static_cast<std::size_t>(rows), cudaMemcpyDeviceToHost, stream),
          "copying from the device");
    stream.wait(&monitor);
  }
}

template <class T>
void PeriodImages::place(const Crop& crop, double factor, T* out, Index pitch, Monitor& monitor) const {
  if (crop.rows == 0 || crop.columns == 0) return;
  const OnDevice there(session_->device);
  crop_rows(crop, 0, crop.rows, factor, out, pitch);
  session_->stream.wait(&monitor);
}

#define ERFFAST_FOR(T)                                                              \
  template void PeriodImages::crop(const Crop&, double, T*, Index, Monitor&) const; \
  template void PeriodImages::place(const Crop&, double, T*, Index, Monitor&) const
ERFFAST_FOR(float);
ERFFAST_FOR(double);
#undef ERFFAST_FOR

}  // namespace erffast::cuda
