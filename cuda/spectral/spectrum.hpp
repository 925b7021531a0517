// The product of all layers' transfer functions, on the device.
#pragma once

#include <vector>

#include "spectral/session.hpp"

#include "erffast/spectrum.hpp"

namespace erffast::cuda {

// As the host's `spectrum`, bit for bit: values [draws, rows, columns] times 2**exponents [draws].
DeviceArray<double2> spectrum(const std::vector<Layers>& layers, const Frequencies& frequencies, Index draws, Session& session, Monitor& monitor,
                              Index* exponents);

}  // namespace erffast::cuda
