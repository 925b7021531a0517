// Launches of the direct engine's kernels, paced so that Ctrl-C is answered between them.
#pragma once

#include <vector>

#include "devices.hpp"
#include "erffast/monitor.hpp"
#include "frame.hpp"
#include "memory.hpp"
#include "fused_plan.hpp"
#include "stream.hpp"

namespace erffast::cuda {

// The work given to a stream and not yet waited for. Kernels cannot be stopped: what waits together is never more than a launch may
// take on this device.
class Pace {
 public:
  Pace(Stream& stream, Monitor* monitor) : stream_(stream), monitor_(monitor), most_(static_cast<double>(launch_work())) {}

  // Before a launch of so many multiply-adds, or what takes as long. At most `most()` of them belong into one launch.
  double most() const { return most_; }
  void spend(double work) {
    if (pending_ + work > most_) wait();
    pending_ += work;
  }
  void wait() {
    stream_.wait(monitor_);
    pending_ = 0;
  }
  cudaStream_t stream() const { return stream_; }

 private:
  Stream& stream_;
  Monitor* monitor_;
  double most_, pending_ = 0;
};

// One backward step. `taps` [draws or 1, channels_out or 1, channels_in, kernel rows, columns], `taps_per_draw` 0 where all draws
// share them; `scales` [draws].
template <class T, int parts>
void backward_step(const Run<T>& run, const T* taps, Index taps_per_draw, const Power<T>* scales, const T* in, const Frame& from, T* out,
                   const Frame& to, Index draws, Pace& pace);

// Multiplies by an image of factors [map's rows, columns] on the device, with their low parts or null.
template <class T, int parts>
void rescale(const T* in, const Frame& from, T* out, const Frame& to, Index draws, const double* scale, const double* scale_low, Index scale_width, Pace& pace);

// `plan.layers` at once. `taps`: of the whole chain; `scales` [layers of the launch, draws]; `measures` [draws], zeroed, or null.
template <class T>
void fused_layers(const FusedPlan& plan, const T* taps, const Power<T>* scales, const T* in, const Frame& from, T* out, const Frame& to,
                  Index draws, Measure* measures, Pace& pace);

// `layers` at once, each draw in one block; images of up to `room` pixels, kernels of up to `room_of_taps`. `taps`, `scales` as above;
// `scale` and `sums` as of row_sums. `work`: multiply-adds of a draw.
template <class T>
void whole_layers(const WholeLayers& layers, int room, int room_of_taps, double work, const T* taps, const Power<T>* scales, const T* in,
                  const Frame& from, T* out, const Frame& to, Index draws, double scale, double* sums, Pace& pace);

// Peak and rectangle of every draw, added to `measures` [draws], zeroed before; pixels below the range are flushed.
template <class T, int parts>
void measure(T* image, const Frame& frame, Index draws, Measure* measures, Pace& pace);

// sums [draws, channels, rows, 3]: of columns [0, x0), [x0, x1), and from x1 on; all of a row outside [y0, y1) is in the first.
// `scale` 0: sums of the pixels; else of the squares of scale * pixel.
template <class T>
void row_sums(const T* image, const Frame& frame, Index draws, const Rect& inside, double scale, double* sums, Pace& pace);

// Sums of |pixel| / peak of one draw's channel 0, one pixel after the other: [columns] or [rows].
template <class T>
void column_masses(const T* image, const Frame& frame, double peak, double* sums, Pace& pace);
template <class T>
void row_masses(const T* image, const Frame& frame, double peak, double* sums, Pace& pace);

// The complement of the bits of the smallest positive |pixel| / peak; `least` is 0 before, and stays so where there is none.
template <class T>
void least_positive(const T* image, const Frame& frame, double peak, unsigned long long* least, Pace& pace);

// out [rows, width] = factor * pixels from (y0, x0) of the map on; the bits of the largest go to `top`, zeroed before.
template <class T>
void write_pixels(const T* image, const Frame& frame, T factor, T* out, Index y0, Index x0, Index rows, Index width,
                  unsigned long long* top, Pace& pace);

}  // namespace erffast::cuda
