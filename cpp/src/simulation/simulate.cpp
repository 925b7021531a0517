#include "erffast/simulate.hpp"

#include "sharing.hpp"
#include "simulation/network.hpp"

namespace erffast::simulation {

namespace {

// One draw in sixteen is computed again, by all threads; at least one that is alive.
template <class T>
void check_rounding(const Program& program, const Request& request, std::vector<Drawn>& drawn, Monitor& monitor) {
  Team team(request.threads);
  Network<T> network(program, request.memory_limit, Sharing(&team, monitor, true));
  Index left = (request.draws + 15) / 16;
  for (Index d = 0; d < request.draws && left > 0; ++d) {
    Drawn& draw = drawn[static_cast<std::size_t>(d)];
    if (draw.fate != Fate::alive) continue;
    draw.rounding = network.rounding(request.first + d, d);
    --left;
  }
}

}  // namespace

template <class T>
std::vector<Drawn> simulate(const Program& program, const Request& request, double* images, Monitor& monitor) {
  const FlushDenormals flush;
  const Rect& rect = program.values.front().rect;
  std::vector<Drawn> drawn(static_cast<std::size_t>(request.draws));
  const Index limit = request.memory_limit / alone(request.draws, request.threads);
  share_draws(request.draws, request.threads, monitor, [&](const Sharing& sharing, const auto& pieces) {
    Network<T> network(program, limit, sharing);
    for (Index d = pieces(); d >= 0; d = pieces()) {
      drawn[static_cast<std::size_t>(d)] = network.run(request.first + d, d, images + d * rect.height * rect.width);
    }
  });
  if (request.first == 0) check_rounding<T>(program, request, drawn, monitor);
  return drawn;
}

template std::vector<Drawn> simulate<float>(const Program&, const Request&, double*, Monitor&);
template std::vector<Drawn> simulate<double>(const Program&, const Request&, double*, Monitor&);

}  // namespace erffast::simulation
