// What a pixel's gradient is multiplied by on its way back through an activation or a dropout.
#pragma once

#include <cstdint>
#include <vector>

#include "erffast/plane.hpp"

namespace erffast::simulation {

// A factor for each pixel of all channels. Gates of two values, those of ReLU and of dropout, take a bit a pixel, for a deep network
// has many: 32 rows share a row of words. Others take a number.
template <class T>
class Gate {
 public:
  // Factors `open` and `shut`: gate[c][y][x] = opens(pixel) ? open : shut. The pixels themselves are multiplied by them too.
  template <class Opens>
  void decide(Plane<T>& plane, T open, T shut, const Opens& opens) {
    open_ = open;
    shut_ = shut;
    width_ = plane.rect().width;
    const Index rows = plane.channels() * plane.rect().height;
    bits_.assign(static_cast<std::size_t>((rows + 31) / 32 * width_), 0);
    each_row(plane, [&](Index r, T* row) {
      std::uint32_t* words = words_of(r);
      const std::uint32_t bit = std::uint32_t{1} << (r % 32);
      for (Index x = 0; x < width_; ++x) {
        const bool on = opens(r * width_ + x, row[x]);
        words[x] |= on ? bit : 0;
        row[x] *= on ? open : shut;
      }
    });
  }

  // Factors of any value: gate[c][y][x] = differentiate(pixel), which also changes the pixel.
  template <class Differentiate>
  void differentiate(Plane<T>& plane, const Differentiate& differentiate) {
    width_ = plane.rect().width;
    factors_.resize(static_cast<std::size_t>(plane.channels() * plane.rect().height * width_));
    each_row(plane, [&](Index r, T* row) {
      for (Index x = 0; x < width_; ++x) factors_[static_cast<std::size_t>(r * width_ + x)] = differentiate(row[x]);
    });
  }

  // Multiplies gradients of the same rectangle.
  void apply(Plane<T>& plane) const {
    each_row(plane, [&](Index r, T* row) {
      if (bits_.empty()) {
        for (Index x = 0; x < width_; ++x) row[x] *= factors_[static_cast<std::size_t>(r * width_ + x)];
      } else {
        const std::uint32_t* words = const_cast<Gate*>(this)->words_of(r);
        const std::uint32_t bit = std::uint32_t{1} << (r % 32);
        for (Index x = 0; x < width_; ++x) row[x] *= (words[x] & bit) != 0 ? open_ : shut_;
      }
    });
  }

  // Forgets the factors and keeps the room.
  void clear() {
    bits_.clear();
    factors_.clear();
  }

 private:
  std::uint32_t* words_of(Index r) { return bits_.data() + r / 32 * width_; }

  template <class Visit>
  static void each_row(Plane<T>& plane, const Visit& visit) {
    const Index height = plane.rect().height;
    for (Index c = 0; c < plane.channels(); ++c) {
      for (Index y = 0; y < height; ++y) visit(c * height + y, plane.row(c, y));
    }
  }

  T open_ = 1, shut_ = 0;
  Index width_ = 0;
  std::vector<std::uint32_t> bits_;
  std::vector<T> factors_;
};

}  // namespace erffast::simulation
