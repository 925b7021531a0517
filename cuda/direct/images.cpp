#include "images.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "devices.hpp"
#include "fetched.hpp"
#include "launches.hpp"

namespace erffast::cuda {
namespace {

template <class T>
bool zeros(const ImageOnDevice<T>& image) {
  return image.frame.rect.height <= 0 || image.frame.rect.width <= 0 || !(image.peak > 0);
}

// Largest values, found as the bits of non-negative doubles, which are ordered as the doubles are.
void tell(const DeviceArray<unsigned long long>& top, double* tops, Stream& stream) {
  const std::vector<unsigned long long> bits = fetched(top, stream);
  std::transform(bits.begin(), bits.end(), tops, [](unsigned long long b) { return std::bit_cast<double>(b); });
}

}  // namespace

template <class T>
std::vector<double> mass(const ImageOnDevice<T>& image, int axis) {
  const Rect& rect = image.frame.rect;
  const Index n = axis == 0 ? rect.height : rect.width;
  if (zeros(image)) return std::vector<double>(static_cast<std::size_t>(n), 0.0);
  const OnDevice there(image.pixels->device);
  DeviceArray<double> sums(n);
  Stream stream;
  Pace pace(stream, nullptr);
  (axis == 0 ? row_masses<T> : column_masses<T>)(image.pixels->data.data(), image.frame, image.peak, sums.data(), pace);
  return fetched(sums, stream);
}

template <class T>
double energy(const ImageOnDevice<T>& image) {
  if (zeros(image)) return 0;
  const Rect& rect = image.frame.rect;
  const OnDevice there(image.pixels->device);
  DeviceArray<double> sums(3 * rect.height);
  Stream stream;
  Pace pace(stream, nullptr);
  const T scale = static_cast<T>(1 / image.peak);
  row_sums<T>(image.pixels->data.data(), image.frame, 1, {0, 0, rect.height, rect.width}, static_cast<double>(scale), sums.data(), pace);
  const std::vector<double> rows = fetched(sums, stream);
  double total = 0;
  for (std::size_t i = 1; i < rows.size(); i += 3) total += rows[i];
  return total;
}

template <class T>
double least(const ImageOnDevice<T>& image, Index y0, Index y1, Index x0, Index x1) {
  if (zeros(image) || y0 >= y1 || x0 >= x1) return 1;
  const OnDevice there(image.pixels->device);
  DeviceArray<unsigned long long> found(1);
  Stream stream;
  Pace pace(stream, nullptr);
  found.zero(stream);
  least_positive<T>(image.pixels->data.data(), image.frame.cropped(y0, y1, x0, x1), image.peak, found.data(), pace);
  const unsigned long long bits = fetched(found, stream)[0];
  return bits == 0 ? 1.0 : std::min(1.0, std::bit_cast<double>(~bits));
}

template <class T>
void write(const std::vector<ImageOnDevice<T>>& images, T* out, Index height, Index width, Index y0, Index x0, const double* factors, double* tops) {
  const Index draws = static_cast<Index>(images.size());
  const Index rows = std::clamp<Index>(strip_bytes / static_cast<Index>(sizeof(T)) / std::max<Index>(width, 1), 1, std::max<Index>(height, 1));
  const OnDevice there(images.front().pixels->device);
  DeviceArray<T> piece(rows * width);
  DeviceArray<unsigned long long> top(draws);
  Stream stream;
  Pace pace(stream, nullptr);
  top.zero(stream);
  for (Index d = 0; d < draws; ++d) {
    const ImageOnDevice<T>& image = images[static_cast<std::size_t>(d)];
    for (Index y = 0; y < height && width > 0; y += rows) {
      const Index count = std::min(rows, height - y);
      write_pixels<T>(image.pixels->data.data(), image.frame, static_cast<T>(factors[d]), piece.data(), y0 + y, x0, count, width, top.data() + d, pace);
      piece.to_host(out + (d * height + y) * width, count * width, stream);
    }
  }
  tell(top, tops, stream);
}

template <class T>
DeviceArray<T> written(const std::vector<ImageOnDevice<T>>& images, Index height, Index width, Index y0, Index x0, const double* factors, double* tops) {
  const Index draws = static_cast<Index>(images.size());
  const OnDevice there(images.front().pixels->device);
  DeviceArray<T> out(draws * height * width);
  DeviceArray<unsigned long long> top(draws);
  Stream stream;
  Pace pace(stream, nullptr);
  top.zero(stream);
  for (Index d = 0; d < draws && height > 0 && width > 0; ++d) {
    const ImageOnDevice<T>& image = images[static_cast<std::size_t>(d)];
    write_pixels<T>(image.pixels->data.data(), image.frame, static_cast<T>(factors[d]), out.data() + d * height * width, y0, x0, height, width,
                    top.data() + d, pace);
  }
  tell(top, tops, stream);
  return out;
}

#define ERFFAST_FOR(T)                                                                 \
  template std::vector<double> mass(const ImageOnDevice<T>&, int);                       \
  template double energy(const ImageOnDevice<T>&);                                       \
  template double least(const ImageOnDevice<T>&, Index, Index, Index, Index);            \
  template DeviceArray<T> written(const std::vector<ImageOnDevice<T>>&, Index, Index, Index, Index, const double*, double*); \
  template void write(const std::vector<ImageOnDevice<T>>&, T*, Index, Index, Index, Index, const double*, double*)
ERFFAST_FOR(float);
ERFFAST_FOR(double);
#undef ERFFAST_FOR

}  // namespace erffast::cuda
