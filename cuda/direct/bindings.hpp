// The direct and separable engines of _cuda, through the template that every backend's functions come from.
#pragma once

#include "backend.hpp"
#include "direct/images.hpp"
#include "direct/propagate.hpp"
#include "separable/outer.hpp"

namespace erffast::python {

// As Images of the CPU, for images on the device.
template <class T>
class DeviceImages : public ImageList<cuda::ImageOnDevice<T>> {
 public:
  DeviceImages(std::vector<cuda::ImageOnDevice<T>> images, int) : ImageList<cuda::ImageOnDevice<T>>(std::move(images)) {}

  Array<Index> rects() const {
    return this->rects_by([](const cuda::ImageOnDevice<T>& image) -> const Rect& { return image.frame.rect; });
  }

  Array<double> mass(Index draw, int axis) const {
    const std::vector<double> sums = sums_of(draw, axis);
    return Array<double>(static_cast<py::ssize_t>(sums.size()), sums.data());
  }

  std::pair<Index, Index> margins(Index draw, int axis, double share) const {
    const std::vector<double> sums = sums_of(draw, axis);
    return margins_of(sums.data(), static_cast<Index>(sums.size()), share);
  }

  Array<double> energies() const {
    return this->template each<double>([](const cuda::ImageOnDevice<T>& image) { return cuda::energy(image); });
  }

  double least(Index draw, Index y0, Index y1, Index x0, Index x1) const {
    const cuda::ImageOnDevice<T>& image = at(draw);
    const Rect& r = image.frame.rect;
    require(0 <= y0 && y1 <= r.height && 0 <= x0 && x1 <= r.width, "the crop must lie in the image");
    const py::gil_scoped_release release;
    return cuda::least(image, y0, y1, x0, x1);
  }

  Array<double> write(Array<T> out, Index y0, Index x0, const Array<double>& factors) const {
    require(out.ndim() == 3 && out.writeable() && out.shape(0) == static_cast<py::ssize_t>(images_.size()), "out must be a writable [draws, rows, columns]");
    require(factors.size() == out.shape(0), "factors must have one entry per draw");
    T* target = out.mutable_data();
    const double* factor = factors.data();
    const Index height = out.shape(1), width = out.shape(2);
    Array<double> tops(out.shape(0));
    double* top = tops.mutable_data();
    const py::gil_scoped_release release;
    cuda::write(images_, target, height, width, y0, x0, factor, top);
    return tops;
  }

 private:
  using ImageList<cuda::ImageOnDevice<T>>::at;
  using ImageList<cuda::ImageOnDevice<T>>::images_;

  std::vector<double> sums_of(Index draw, int axis) const {
    const cuda::ImageOnDevice<T>& image = at(draw);
    const py::gil_scoped_release release;
    return cuda::mass(image, axis);
  }
};

struct Gpu {
  template <class T>
  using Images = DeviceImages<T>;

  template <class T, int parts>
  static auto propagate(const std::vector<Run<T>>& runs, const Options& options, Monitor& monitor) {
    return cuda::propagate<T, parts>(runs, options, monitor);
  }
  template <class T>
  static void outer(const double* rows, Index n_rows, const double* columns, Index n_columns, int shift, int power, T* out, int, Monitor& monitor) {
    cuda::outer(rows, n_rows, columns, n_columns, shift, power, out, monitor);
  }
};

inline void bind_direct_on_gpu(py::module_& m) {
  bind<Gpu, float>(m, "ImagesF32", "propagate_f32", "outer_f32");
  bind<Gpu, double>(m, "ImagesF64", "propagate_f64", "outer_f64");
  bind_propagate<Gpu, double, 2>(m, "propagate_x64");
}

}  // namespace erffast::python
