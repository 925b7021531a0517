#include "propagate.hpp"

#include <algorithm>
#include <iterator>

#include "chain.hpp"

namespace erffast::cuda {

template <class T, int parts>
std::vector<ImageOnDevice<T>> propagate(const std::vector<Run<T>>& runs, const Options& options, Monitor& monitor) {
  const auto budget = std::make_shared<Budget>(options.memory_limit);
  Stream stream;
  const ChainTaps<T> taps(runs, budget.get(), stream);
  const Call<T> call{runs, options, taps, limits_of_device(), budget, stream, monitor};
  std::vector<ImageOnDevice<T>> images;
  // Signed draws stay in one rectangle, and go together; others are trimmed by their own mass.
  Index most = options.non_negative ? 1 : options.draws;
  for (Index first = 0; first < options.draws;) {
    const Index draws = std::min(most, options.draws - first);
    try {
      std::vector<ImageOnDevice<T>> more = Chain<T, parts>(call, first, draws).run();
      std::move(more.begin(), more.end(), std::back_inserter(images));
      first += draws;
    } catch (const MemoryLimit&) {
      if (draws == 1) throw;
      most = (draws + 1) / 2;
    }
  }
  return images;
}

template std::vector<ImageOnDevice<float>> propagate<float, 1>(const std::vector<Run<float>>&, const Options&, Monitor&);
template std::vector<ImageOnDevice<double>> propagate<double, 1>(const std::vector<Run<double>>&, const Options&, Monitor&);
template std::vector<ImageOnDevice<double>> propagate<double, 2>(const std::vector<Run<double>>&, const Options&, Monitor&);

}  // namespace erffast::cuda
