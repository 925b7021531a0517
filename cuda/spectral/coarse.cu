#include "spectral/coarse.cuh"

#include "spectral/coarse.hpp"

#include <numeric>

namespace erffast::cuda {
namespace {

Index common_step(const Layers& run, const Frequencies& f, int axis) {
  const Index size = axis == 0 ? f.height : f.width, common = std::gcd(size, run.spacing[axis] % size);
  return axis == 1 && size / common % 2 != 0 ? common / 2 : common;  // the product wants an even width
}

}  // namespace

CoarseProduct::CoarseProduct(const std::vector<const Layers*>& runs, const Frequencies& f, Index draws, Session& session, Monitor& monitor)
    : own_(f.banded ? f : Frequencies{f.height / common_step(*runs[0], f, 0), f.width / common_step(*runs[0], f, 1)}),
      values_(draws * own_.size(), &session.budget) {
  std::vector<Layers> moved;
  std::vector<const Layers*> layers;
  for (const Layers* run : runs) {
    moved.push_back(*run);
    moved.back().count = 1;
    if (!f.banded) moved.back().spacing[0] = moved.back().spacing[1] = 1;
  }
  for (const Layers& run : moved) layers.push_back(&run);
  (f.banded ? band_product : product)(layers, own_, draws, session.stream, &session.budget, monitor, values_);
  const auto step = [&](int axis, Index size, Index own) {
    return f.banded ? 1 : static_cast<int>(runs[0]->spacing[axis] % size / (size / own));
  };
  view_ = {{values_.values.data(), values_.exponents.data()},
           static_cast<int>(own_.rows()),
           f.banded ? static_cast<int>(2 * own_.columns() - 1) : static_cast<int>(own_.width),
           {step(0, f.height, own_.height), step(1, f.width, own_.width)},
           static_cast<int>(f.rows()),
           static_cast<int>(f.columns())};
}

}  // namespace erffast::cuda
