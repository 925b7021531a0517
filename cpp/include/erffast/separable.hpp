// Profiles: one axis of a chain without negative taps, composed rather than run layer by layer. Images from profiles.
#pragma once

#include "erffast/monitor.hpp"
#include "erffast/propagate.hpp"
#include "erffast/step.hpp"
#include "erffast/threads.hpp"

namespace erffast {

// What composing may leave out and use.
struct Composing {
  double trim = 0;          // share of the mass that may be left out; booked in Image::trimmed
  bool keeps_mass = false;  // no border takes mass from the chain: what is too faint for any result may then go, unbooked
  Index memory_limit = 0;   // bytes
  Team* team = nullptr;     // null: one thread
};

// Whether `composed` takes a run: 1-D steps on the plane, one after the other without a stride, of one channel.
template <class T>
bool can_compose(const Run<T>& run);

// image * taps of step 1 * taps of step 2 ... , without negative taps. Pixel 0 of the result's row stands at rect.x0, counted
// from the image's first pixel plus the taps' first.
template <class T>
Image<T> composed(const Run<T>& run, Index draw, const T* image, Index width, const Composing& composing, Monitor& monitor);

// out[i, j] = (rows[i] * columns[j] * 2**shift) * 2**power, rounded to T before the last, exact factor; written by `threads` threads,
// denormals flushed.
template <class T>
void outer(const double* rows, Index n_rows, const double* columns, Index n_columns, int shift, int power, T* out, int threads, Monitor& monitor);

}  // namespace erffast
