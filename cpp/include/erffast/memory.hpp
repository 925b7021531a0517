// Memory of images: aligned to cache lines, in large pages where the system has them.
#pragma once

#include <cstdlib>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "erffast/step.hpp"

namespace erffast {

struct FreePixels {
  void operator()(void* p) const { std::free(p); }
};
template <class T>
using Pixels = std::unique_ptr<T[], FreePixels>;

// n pixels, not initialised; throws std::bad_alloc. The first touch of an ordinary page costs as much as many layers on it
// (16 million pixels fresh: 8 to 74 ms): large pages are asked for from 4 MiB on.
template <class T>
Pixels<T> new_pixels(Index n) {
  constexpr std::size_t line = 64, page = std::size_t{1} << 21;
  const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(T);
  const std::size_t unit = bytes < 2 * page ? line : page;
  void* p = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
  if (p == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  if (unit == page) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return Pixels<T>(static_cast<T*>(p));
}

}  // namespace erffast
