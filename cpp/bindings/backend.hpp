// One template binds a backend's functions for one dtype, so that every backend has the same signatures.
#pragma once

#include <algorithm>
#include <cmath>
#include <exception>
#include <iterator>
#include <numeric>

#include "arrays.hpp"
#include "erffast/propagate.hpp"
#include "erffast/threads.hpp"
#include "reporter.hpp"

namespace erffast::python {

// Images of a backend, and what is known of them.
template <class Item>
class ImageList {
 public:
  explicit ImageList(std::vector<Item> images) : images_(std::move(images)) {}
  ImageList(ImageList&&) = default;
  ImageList(const ImageList&) = delete;

  template <class Out, class Get>
  Array<Out> each(Get&& get) const {
    Array<Out> out(static_cast<py::ssize_t>(images_.size()));
    for (std::size_t d = 0; d < images_.size(); ++d) out.mutable_data()[d] = get(images_[d]);
    return out;
  }

 protected:
  const Item& at(Index draw) const {
    require(draw >= 0 && draw < static_cast<Index>(images_.size()), "no such draw");
    return images_[static_cast<std::size_t>(draw)];
  }

  // write(target, height, width, factors, tops) into out [draws, rows, columns], without the GIL; returns the tops [draws].
  template <class T, class Write>
  Array<double> write_by(Array<T>& out, const Array<double>& factors, Write&& write) const {
    require(out.ndim() == 3 && out.writeable() && out.shape(0) == static_cast<py::ssize_t>(images_.size()), "out must be a writable [draws, rows, columns]");
    require(factors.size() == out.shape(0), "factors must have one entry per draw");
    T* target = out.mutable_data();
    const double* factor = factors.data();
    const Index height = out.shape(1), width = out.shape(2);
    Array<double> tops(out.shape(0));
    double* top = tops.mutable_data();
    const py::gil_scoped_release release;
    write(target, height, width, factor, top);
    return tops;
  }

  // [draws, 4]
  template <class RectOf>
  Array<Index> rects_by(RectOf&& rect_of) const {
    Array<Index> out({static_cast<py::ssize_t>(images_.size()), py::ssize_t{4}});
    for (std::size_t d = 0; d < images_.size(); ++d) {
      const Rect& r = rect_of(images_[d]);
      const Index values[4] = {r.y0, r.x0, r.height, r.width};
      std::copy_n(values, 4, out.mutable_data(static_cast<py::ssize_t>(d)));
    }
    return out;
  }

  std::vector<Item> images_;
};

// How many of n masses from either end hold at most `share` of their sum each. Summed from the small ends: no cancellation.
inline std::pair<Index, Index> margins_of(const double* first, Index n, double share) {
  const double allowed = share * std::accumulate(first, first + n, 0.0);
  const auto leading = [&](auto from) {
    double held = 0;
    Index count = 0;
    while (count < n - 1 && (held += *from++) <= allowed) ++count;
    return count;
  };
  return {leading(first), leading(std::make_reverse_iterator(first + n))};
}

// What propagate() gave, still at the working scale; written out once the crop is known.
template <class T>
class Images : public ImageList<Image<T>> {
 public:
  Images(std::vector<Image<T>> images, int threads) : ImageList<Image<T>>(std::move(images)), threads_(threads) {}

  Array<Index> rects() const {
    return this->rects_by([](const Image<T>& image) -> const Rect& { return image.plane.rect(); });
  }

  // Sums of |pixel| / peak over the other axis. [rows] or [columns]
  Array<double> mass(Index draw, int axis) const {
    const Image<T>& image = at(draw);
    const Rect& r = image.plane.rect();
    Array<double> out(axis == 0 ? r.height : r.width);
    double* sums = out.mutable_data();
    std::fill_n(sums, out.size(), 0.0);
    for (Index y = 0; y < r.height; ++y) {
      const T* row = image.plane.row(0, y);
      for (Index x = 0; x < r.width; ++x) sums[axis == 0 ? y : x] += std::abs(static_cast<double>(row[x])) / image.peak;
    }
    return out;
  }

  // How many rows (columns) from either end hold at most `share` of the draw's mass each.
  std::pair<Index, Index> margins(Index draw, int axis, double share) const {
    const Array<double> sums = mass(draw, axis);
    return margins_of(sums.data(), sums.size(), share);
  }

  // Per draw, the sum of (pixel / peak)**2; 0 for an image of zeros.
  Array<double> energies() const {
    return this->template each<double>([](const Image<T>& image) {
      const Rect& r = image.plane.rect();
      double total = 0;
      for (Index y = 0; y < r.height && image.peak > 0; ++y) {
        const T scale = static_cast<T>(1 / image.peak);
        total += kernels_of<T>(kernel_table()).sum_of_squares(image.plane.row(0, y), r.width, scale);
      }
      return total;
    });
  }

  // Smallest positive |pixel| / peak in the rows [y0, y1) and columns [x0, x1) of the draw's rectangle.
  double least(Index draw, Index y0, Index y1, Index x0, Index x1) const {
    const Image<T>& image = at(draw);
    const Rect& r = image.plane.rect();
    require(0 <= y0 && y1 <= r.height && 0 <= x0 && x1 <= r.width, "the crop must lie in the image");
    double best = 1;
    for (Index y = y0; y < y1; ++y) {
      const T* row = image.plane.row(0, y);
      for (Index x = x0; x < x1; ++x) {
        const double v = std::abs(static_cast<double>(row[x])) / image.peak;
        if (v > 0 && v < best) best = v;
      }
    }
    return best;
  }

  // out[d, i, j] = factors[d] * pixel at (y0 + i, x0 + j); zero outside the draw's rectangle. Denormals become zero. Returns the
  // largest absolute value of each draw's part of out.
  Array<double> write(Array<T> out, Index y0, Index x0, const Array<double>& factors) const {
    return this->write_by(out, factors, [&](T* target, Index height, Index width, const double* factor, double* top) {
      FlushDenormals flush;
      const auto& kernels = kernels_of<T>(kernel_table());
      const Index draws = static_cast<Index>(images_.size()), rows = draws * height;
      std::vector<T> peaks(static_cast<std::size_t>(rows));
      Team team(rows * width < 100'000 ? 1 : threads_);
      team.run([&](int thread) {
        for (Index r = first_item(rows, thread, team.size()); r < first_item(rows, thread + 1, team.size()); ++r) {
          const auto d = static_cast<std::size_t>(r / height);
          T* row = target + r * width;
          write_row(images_[d], y0 + r % height, x0, static_cast<T>(factor[d]), row, width);
          peaks[static_cast<std::size_t>(r)] = kernels.max_abs(row, width);
        }
      });
      for (Index d = 0; d < draws; ++d) top[d] = static_cast<double>(kernels.max_abs(peaks.data() + d * height, height));
    });
  }

 private:
  using ImageList<Image<T>>::at;
  using ImageList<Image<T>>::images_;

  static void write_row(const Image<T>& image, Index y, Index x0, T factor, T* target, Index width) {
    const Rect& r = image.plane.rect();
    const Index first = std::clamp<Index>(r.x0 - x0, 0, width), last = std::clamp<Index>(r.x0 + r.width - x0, first, width);
    if (y < r.y0 || y >= r.y0 + r.height || image.plane.empty()) {
      std::fill_n(target, width, T(0));
      return;
    }
    std::fill_n(target, first, T(0));
    kernels_of<T>(kernel_table()).scaled(target + first, image.plane.row(0, y - r.y0) + (x0 + first - r.x0), factor, last - first);
    std::fill(target + last, target + width, T(0));
  }

  int threads_;  // that may write
};

// The CPU's engine. Another backend offers the same two.
struct Cpu {
  template <class T>
  using Images = python::Images<T>;

  template <class T, int parts>
  static auto propagate(const std::vector<Run<T>>& runs, const Options& options, Monitor& monitor) {
    return erffast::propagate<T, parts>(runs, options, monitor);
  }
};

template <class Backend, class T, int parts>
typename Backend::template Images<T> run_propagate(const py::list& list, std::pair<Index, Index> unit, Index channels, Index draws, bool non_negative, double trim,
                        int threads, Index memory_limit, py::object progress) {
  require(draws >= 1 && channels >= 1, "draws and channels must be at least 1");
  const Runs<T> runs = read_runs<T>(list, channels, draws);
  Options options;
  options.unit[0] = unit.first;
  options.unit[1] = unit.second;
  options.channels = channels;
  options.draws = draws;
  options.non_negative = non_negative;
  options.trim = trim;
  options.threads = threads;
  options.memory_limit = memory_limit;
  Index layers = 0;
  for (const Run<T>& run : runs.runs) layers += run.count;
  Reporter reporter(std::move(progress), layers * draws);
  auto images = reporter.run([&](Monitor& monitor) { return Backend::template propagate<T, parts>(runs.runs, options, monitor); });
  for (std::size_t d = 0; d < images.size(); ++d) images[d].exponent += runs.exponents[d];
  return typename Backend::template Images<T>(std::move(images), threads);
}

template <class Backend, class T, int parts = 1>
void bind_propagate(py::module_& m, const char* name) {
  m.def(name, &run_propagate<Backend, T, parts>, py::arg("runs"), py::arg("unit"), py::arg("channels"), py::arg("draws"), py::arg("non_negative"),
        py::arg("trim"), py::arg("threads"), py::arg("memory_limit"), py::arg("progress"));
}

template <class Backend, class T>
auto bind(py::module_& m, const char* class_name, const char* propagate_name) {
  using I = typename Backend::template Images<T>;
  py::class_<I> images(m, class_name);
  images.def("rects", &I::rects)
      .def("exponents", [](const I& s) { return s.template each<Index>([](const ImageFacts& i) { return i.exponent; }); })
      .def("peaks", [](const I& s) { return s.template each<double>([](const ImageFacts& i) { return i.peak; }); })
      .def("borders", [](const I& s) { return s.template each<double>([](const ImageFacts& i) { return i.border; }); })
      .def("trimmed", [](const I& s) { return s.template each<double>([](const ImageFacts& i) { return i.trimmed; }); })
      .def("rounding", [](const I& s) { return s.template each<double>([](const ImageFacts& i) { return i.rounding; }); })
      .def("energies", &I::energies)
      .def("mass", &I::mass, py::arg("draw"), py::arg("axis"))
      .def("margins", &I::margins, py::arg("draw"), py::arg("axis"), py::arg("share"))
      .def("least", &I::least, py::arg("draw"), py::arg("y0"), py::arg("y1"), py::arg("x0"), py::arg("x1"))
      .def("write", &I::write, py::arg("out").noconvert(), py::arg("y0"), py::arg("x0"), py::arg("factors"));
  bind_propagate<Backend, T>(m, propagate_name);
  return images;
}

}  // namespace erffast::python
