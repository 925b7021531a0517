// What a pixel's gradient is multiplied by on its way back through an activation or a dropout.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "erffast/plane.hpp"

namespace erffast::simulation {

// A factor for each pixel of all channels. Gates of two values, those of ReLU and of dropout, take a bit a pixel, for a deep network
// has many: rows of whole bytes. Others take a number.
template <class T>
class Gate {
 public:
  // Factors 1 for positive pixels and `shut` for others. The pixels themselves are multiplied by them too.
  void open_positive(Plane<T>& plane, T shut) {
    start(plane, T(1), shut);
    each_row(plane, [&](Index r, T* row) {
      kernels().positive(bits_of(r), row, width_);
      kernels().gate(row, bits_of(r), open_, shut_, width_);
    });
  }

  // Factors `open` and `shut`: gate[c][y][x] = opens((c * rows + y) * columns + x) ? open : shut; the pixels are multiplied too.
  template <class Opens>
  void decide(Plane<T>& plane, T open, T shut, const Opens& opens) {
    start(plane, open, shut);
    each_row(plane, [&](Index r, T* row) {
      std::uint8_t* bits = bits_of(r);
      std::fill_n(bits, bytes_, std::uint8_t{0});
      for (Index x = 0; x < width_; ++x) bits[x / 8] = static_cast<std::uint8_t>(bits[x / 8] | (opens(r * width_ + x) ? 1 << x % 8 : 0));
      kernels().gate(row, bits, open_, shut_, width_);
    });
  }

  // Factors of any value: gate[c][y][x] = differentiate(pixel), which also changes the pixel.
  template <class Differentiate>
  void differentiate(Plane<T>& plane, const Differentiate& differentiate) {
    bits_.clear();
    width_ = plane.rect().width;
    factors_.resize(static_cast<std::size_t>(plane.channels() * plane.rect().height * width_));
    each_row(plane, [&](Index r, T* row) {
      for (Index x = 0; x < width_; ++x) factors_[static_cast<std::size_t>(r * width_ + x)] = differentiate(row[x]);
    });
  }

  // Multiplies gradients of the same rectangle.
  void apply(Plane<T>& plane) const {
    each_row(plane, [&](Index r, T* row) {
      if (!bits_.empty()) return kernels().gate(row, bits_.data() + r * bytes_, open_, shut_, width_);
      for (Index x = 0; x < width_; ++x) row[x] *= factors_[static_cast<std::size_t>(r * width_ + x)];
    });
  }

 private:
  void start(const Plane<T>& plane, T open, T shut) {
    open_ = open;
    shut_ = shut;
    width_ = plane.rect().width;
    bytes_ = (width_ + 7) / 8;
    bits_.resize(static_cast<std::size_t>(plane.channels() * plane.rect().height * bytes_));
  }

  static const Kernels<T>& kernels() { return kernels_of<T>(kernel_table()); }

  std::uint8_t* bits_of(Index r) { return bits_.data() + r * bytes_; }

  template <class Visit>
  static void each_row(Plane<T>& plane, const Visit& visit) {
    const Index height = plane.rect().height;
    for (Index c = 0; c < plane.channels(); ++c) {
      for (Index y = 0; y < height; ++y) visit(c * height + y, plane.row(c, y));
    }
  }

  T open_ = 1, shut_ = 0;
  Index width_ = 0, bytes_ = 0;  // of a row
  std::vector<std::uint8_t> bits_;
  std::vector<T> factors_;
};

}  // namespace erffast::simulation
