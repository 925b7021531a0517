#include "sampled.hpp"

#include <numeric>

namespace erffast {

Sampled::Sampled(const std::vector<const Layers*>& runs, const Frequencies& frequencies, Index draws, Team& team, Monitor& monitor)
    : own_(frequencies) {
  std::vector<Layers> moved;
  std::vector<const Layers*> layers = runs;
  if (!own_.banded) {
    const Index sizes[2] = {frequencies.height, frequencies.width};
    Index periods[2];
    for (int a = 0; a < 2; ++a) {
      const Index spacing = runs[0]->spacing[a] % sizes[a];
      Index common = std::gcd(sizes[a], spacing);
      if (a == 1 && sizes[a] / common % 2 != 0) common /= 2;  // the product wants an even width
      periods[a] = sizes[a] / common;
      step_[a] = spacing / common;
    }
    own_.height = periods[0];
    own_.width = periods[1];
    for (const Layers* run : runs) {
      moved.push_back(*run);
      moved.back().spacing[0] = moved.back().spacing[1] = 1;
    }
    for (std::size_t i = 0; i < moved.size(); ++i) layers[i] = &moved[i];
  }
  values_.resize(static_cast<std::size_t>(draws * own_.size()));
  exponents_.resize(values_.size());
  product(layers, own_, draws, team, monitor, {values_.data(), exponents_.data()});
}

}  // namespace erffast
