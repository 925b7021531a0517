#include "erffast/simulate.hpp"

#include <algorithm>

#include "sharing.hpp"
#include "simulation/network.hpp"

namespace erffast::simulation {

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
  const auto alive = std::find_if(drawn.begin(), drawn.end(), [](const Drawn& draw) { return draw.fate == Fate::alive; });
  if (request.first == 0 && alive != drawn.end()) {
    Team team(request.threads);
    const Index d = alive - drawn.begin();
    alive->rounding = Network<T>(program, request.memory_limit, Sharing(&team, monitor, true)).rounding(d, d);
  }
  return drawn;
}

template std::vector<Drawn> simulate<float>(const Program&, const Request&, double*, Monitor&);
template std::vector<Drawn> simulate<double>(const Program&, const Request&, double*, Monitor&);

}  // namespace erffast::simulation
