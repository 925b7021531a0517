#include "spectral/synthesis.cuh"

#include "spectral/synthesis.hpp"

#include <algorithm>
#include <limits>

#include "devices.hpp"
#include "fetched.hpp"
#include "spectral/session.hpp"
#include "spectral/tables.hpp"

namespace erffast::cuda {
namespace {

constexpr Index strip_pixels = strip_bytes / static_cast<Index>(sizeof(double));
const char* const doing = "making pixels from a band";

}  // namespace

Extremes DeviceSynthesis::put(const Window& window, double factor, bool negative, double* out, int device, Monitor& monitor) const {
  const OnDevice there(device);
  return make(window, factor, negative ? -1 : 1, out, nullptr, monitor);
}

Extremes DeviceSynthesis::make(const Window& window, double factor, double sign, double* target, double* out, Monitor& monitor) const {
  const Frequencies& f = band_.frequencies();
  const Circle& circle = band_.circle(1);
  const Index height = window.size[0], width = window.size[1], n = f.band[1] + 1, n_lines = 2 * f.band[0] + 1, half = (width + 1) / 2;
  std::vector<double> lines(static_cast<std::size_t>(n_lines * 2 * n)), weights(static_cast<std::size_t>(height * n_lines));
  band_.lines(window, factor, 2 * n, lines.data());
  band_.weights(window, weights.data());

  Session session(free_memory().free);
  Stream& stream = session.stream;
  Budget* const budget = &session.budget;
  Tables tables;
  const auto line = tables.add(lines), weight = tables.add(weights), cosines = tables.add(circle.cosines()), sines = tables.add(circle.sines());
  tables.upload(stream, budget);
  DeviceArray<double> z(height * 2 * n, budget), waves(n * 2 * half, budget);
  check(launch(lines_kernel, threads_for(z.size()), dim3(look_threads), 0, stream, tables.at(weight), tables.at(line), height, static_cast<int>(n_lines),
               static_cast<int>(2 * n), z.data()),
        doing);
  const HalfTurns turns{tables.at(cosines), tables.at(sines), static_cast<Index>(circle.cosines().size())};
  check(launch(window_waves_kernel, threads_for(n * half), dim3(look_threads), 0, stream, turns, static_cast<int>(n), static_cast<int>(half), width,
               window.step[1], waves.data()),
        doing);

  const Index together = std::clamp<Index>(strip_pixels / width / rows_together * rows_together, rows_together, (height + rows_together - 1) / rows_together * rows_together);
  const Index across = threads_for(half).x, blocks = together / rows_together * across;
  DeviceArray<double> strip(target == nullptr ? std::min(together, height) * width : 0, budget);
  DeviceArray<double2> on_device(blocks * look_warps, budget);
  std::vector<double2> found(static_cast<std::size_t>(on_device.size()));
  constexpr double none = std::numeric_limits<double>::infinity();
  Extremes whole{-none, none};
  for (Index y = 0; y < height; y += together) {
    const Index rows = std::min(together, height - y), here = (rows + rows_together - 1) / rows_together * across;
    check(launch(pixels_kernel, dim3(static_cast<unsigned>(here)), dim3(look_threads), 0, stream, z.data() + y * 2 * n, static_cast<int>(rows),
                 static_cast<int>(n), waves.data(), static_cast<int>(half), static_cast<int>(width), sign, target == nullptr ? strip.data() : target + y * width,
                 on_device.data()),
          doing);
    if (target == nullptr) strip.to_host(out + y * width, rows * width, stream);
    on_device.to_host(found.data(), here * look_warps, stream);
    stream.wait(&monitor);
    for (Index i = 0; i < here * look_warps; ++i) {
      const double2& e = found[static_cast<std::size_t>(i)];
      whole = {std::max(whole.largest, e.x), std::min(whole.smallest, e.y)};
    }
  }
  return whole;
}

}  // namespace erffast::cuda
