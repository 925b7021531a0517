// A batch of draws on its way from the output to the input, all of them in the same rectangle.
//
// The host decides as the CPU's engine does (direct/accounts.hpp, groups.hpp, trim.hpp), once a group of layers: it chooses the powers
// of two for the taps of all layers from the gains, launches them, and waits once for the peaks, for the sums that borders have taken,
// and for the rectangle of what is not zero. Where nothing is trimmed, groups are longer than the CPU's and take layers of any kind:
// what is decided between them changes no pixel.
#pragma once

#include <memory>
#include <vector>

#include "direct/accounts.hpp"
#include "direct/groups.hpp"
#include "erffast/threads.hpp"
#include "group_plan.hpp"
#include "launches.hpp"
#include "pinned.hpp"
#include "propagate.hpp"

namespace erffast::cuda {

template <class T, int parts>
class Chain {
 public:
  Chain(const Call<T>& call, Index first_draw, Index draws);
  ~Chain();

  // One image for each draw of the batch.
  std::vector<ImageOnDevice<T>> run();

 private:
  struct Draw {
    Accounts<T, parts> accounts;
    double peak;
    bool alive = true;
    Rect rect;  // of what is not zero
  };

  void start();
  void reserve();
  bool composes(const Run<T>& run) const;
  void compose(std::size_t run);

  Position group(Position from);
  void gather(Position from, std::size_t most);
  void push(std::size_t run, Index step, std::vector<PeakBound<T>>& bounds);
  void send_scales();
  void execute();
  void step(const Pass& pass);
  double scale_of_sums() const;
  void collect();
  bool range_lost() const;
  void accept();
  bool account(Index draw);
  bool clip(Draw& draw, const Border& border, Index index) const;
  void trim();
  void crop(const Rect& kept);

  T* pixels() { return buffers_[current_].data(); }
  T* target(const Frame& frame);
  bool trims() const { return call_.options.trim > 0; }
  bool alive() const;

  const Call<T>& call_;
  Index first_draw_, draws_;
  Pace pace_;
  Index layers_ = 0, done_ = 0;
  bool keeps_mass_ = true;   // no border takes any
  bool keeps_range_ = true;  // no peak falls below what gains allow by more than the image has pixels
  std::vector<Draw> state_;

  DeviceArray<T> buffers_[3];  // a group that may be made again keeps its input beside the two that layers alternate between
  int current_ = 0, source_ = 0;
  Frame frame_;

  std::vector<Layer<T>> group_;
  std::unique_ptr<GroupPlan<T, parts>> plan_;
  Index sums_ = 0;  // numbers that the host adds up
  std::vector<ScaledTaps<T>> known_;  // of the run `known_run_`, which repeats one kernel
  std::size_t known_run_ = static_cast<std::size_t>(-1);

  DeviceArray<Power<T>> scales_;
  DeviceArray<Measure> measures_;
  DeviceArray<double> device_sums_;
  PinnedArray<Power<T>> host_scales_;
  PinnedArray<Measure> host_measures_;
  PinnedArray<double> host_sums_;
};

}  // namespace erffast::cuda
