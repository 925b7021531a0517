// The direct and separable engines of _cuda, through the template that every backend's functions come from.
#pragma once

#include "backend.hpp"
#include "device_image.hpp"
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
    return this->write_by(out, factors, [&](T* target, Index height, Index width, const double* factor, double* tops) {
      cuda::write(images_, target, height, width, y0, x0, factor, tops);
    });
  }

  // As `write`, into an image that stays on the device: it, and the largest absolute value of each draw.
  std::pair<cuda::DeviceImage, Array<double>> written(Index height, Index width, Index y0, Index x0, const Array<double>& factors) const {
    const auto draws = static_cast<Index>(images_.size());
    require(height >= 1 && width >= 1 && factors.size() == draws, "factors must have one entry per draw, and the image pixels");
    const double* factor = factors.data();
    Array<double> tops(draws);
    double* top = tops.mutable_data();
    cuda::DeviceArray<T> out;
    {
      const py::gil_scoped_release release;
      out = cuda::written(images_, height, width, y0, x0, factor, top);
    }
    return {cuda::DeviceImage(std::move(out), {draws, height, width}, width), tops};
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
};

// The images of draws, on the device: rows[d, i] * columns[d, j] * 2**shifts[d], rounded to T. [draws, rows, columns]
template <class T>
cuda::DeviceImage outer_image(const Array<double>& rows, const Array<double>& columns, const Array<Index>& shifts) {
  require(rows.ndim() == 2 && columns.ndim() == 2 && rows.shape(0) == columns.shape(0) && shifts.size() == rows.shape(0) && rows.size() > 0 && columns.size() > 0,
          "outer_image takes profiles [draws, length] and a shift for each draw");
  const double* r = rows.data();
  const double* c = columns.data();
  const Index* s = shifts.data();
  const Index draws = rows.shape(0), n_rows = rows.shape(1), n_columns = columns.shape(1), pitch = cuda::outer_pitch<T>(n_columns);
  cuda::DeviceArray<T> out;
  {
    const py::gil_scoped_release release;
    out = cuda::DeviceArray<T>(draws * n_rows * pitch);
    for (Index d = 0; d < draws; ++d) {
      cuda::outer(r + d * n_rows, n_rows, c + d * n_columns, n_columns, static_cast<int>(s[d]), out.data() + d * n_rows * pitch);
    }
  }
  return cuda::DeviceImage(std::move(out), {draws, n_rows, n_columns}, pitch);
}

inline void bind_direct_on_gpu(py::module_& m) {
  const auto written = [](auto images) {
    using I = typename decltype(images)::type;
    images.def("written", &I::written, py::arg("height"), py::arg("width"), py::arg("y0"), py::arg("x0"), py::arg("factors"));
  };
  written(bind<Gpu, float>(m, "ImagesF32", "propagate_f32"));
  written(bind<Gpu, double>(m, "ImagesF64", "propagate_f64"));
  m.def("outer_image_f32", &outer_image<float>, py::arg("rows"), py::arg("columns"), py::arg("shifts"));
  m.def("outer_image_f64", &outer_image<double>, py::arg("rows"), py::arg("columns"), py::arg("shifts"));
  bind_propagate<Gpu, double, 2>(m, "propagate_x64");
}

}  // namespace erffast::python
