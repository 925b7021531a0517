// The product of transfer functions at the frequencies of a band.
#pragma once

#include <vector>

#include "erffast/spectrum.hpp"
#include "erffast/threads.hpp"
#include "product.hpp"

namespace erffast {

// As `product`, for frequencies that are banded: values and exponents [draws, rows, columns], each larger component in [1, 2).
void band_product(const std::vector<const Layers*>& layers, const Frequencies& frequencies, Index draws, Team& team, Monitor& monitor,
                  const Spectrum& target);

}  // namespace erffast
