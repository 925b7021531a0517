// Images on a period that stay on the device, and what is asked of them there.
#pragma once

#include <memory>
#include <vector>

#include "spectral/session.hpp"

#include "erffast/spectrum.hpp"

namespace erffast::cuda {

// Rows and columns of one image, counted cyclically from (row, column) on, any integers.
struct Crop {
  Index draw, row, column, rows, columns;
};

// [draws, height, width] float64.
class PeriodImages {
 public:
  // Not initialised.
  PeriodImages(std::shared_ptr<Session> session, Index draws, Index height, Index width);

  Index draws() const { return draws_; }
  Index height() const { return height_; }
  Index width() const { return width_; }
  double* data() { return pixels_.data(); }

  // Multiplies all pixels, and looks at them: largest absolute values [draws], sums of squares of the rows [draws, height].
  void scale(double factor, std::vector<double>& peaks, std::vector<double>& energies);
  // Pixels of one image below 0 become 0.
  void clip(Index draw);
  // Sums of squares of the columns of one image.
  std::vector<double> column_energies(Index draw) const;
  // Sums of absolute values along the other axis.
  std::vector<double> sums(Index draw, int axis) const;
  // The largest absolute value of some rows and columns, counted cyclically from any integers on.
  double largest(Index draw, Index row, Index column, Index rows, Index columns) const;
  // Sums over an image of pixel * exp(-2 pi i (f_y y / (height finer[0]) + f_x x / (width finer[1]))) for n frequencies [n, 2], one period
  // along each axis from `first` on.
  std::vector<Complex> waves(Index draw, const Index* frequencies, Index n, const Index (&finer)[2], const Index (&first)[2]) const;
  // out[y * pitch + x] = factor * pixel, on the host; below the range of T zero.
  template <class T>
  void crop(const Crop& crop, double factor, T* out, Index pitch, Monitor& monitor) const;
  // The same on the device of the images.
  template <class T>
  void place(const Crop& crop, double factor, T* out, Index pitch, Monitor& monitor) const;
  int device() const { return session_->device; }

 private:
  // Rows [first, first + rows) of a crop.
  template <class T>
  void crop_rows(const Crop& crop, Index first, Index rows, double factor, T* out, Index pitch) const;
  const double* image(Index draw) const { return pixels_.data() + draw * height_ * width_; }

  std::shared_ptr<Session> session_;
  Index draws_, height_, width_;
  DeviceArray<double> pixels_;
};

}  // namespace erffast::cuda
