#include "erffast/ceilings.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "erffast/kernels.hpp"
#include "erffast/threads.hpp"

namespace erffast {

namespace {

using Clock = std::chrono::steady_clock;

// The best rate of the passes that fit into `seconds`, two at least: the first meets cold pages and a sleeping clock.
double best_rate(Team& team, double work, double seconds, const std::function<void(int)>& pass) {
  double best = 0, spent = 0;
  for (int done = 0; done < 2 || spent < seconds; ++done) {
    const auto start = Clock::now();
    team.run(pass);
    const double took = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, work / took);
    spent += took;
  }
  return best;
}

template <class T>
const Peak<T>& peak_of(const PeakKernels& kernels);
template <>
const Peak<float>& peak_of<float>(const PeakKernels& kernels) {
  return kernels.f32;
}
template <>
const Peak<double>& peak_of<double>(const PeakKernels& kernels) {
  return kernels.f64;
}

// Stores past the caches, in pairs of doubles; a pair at an odd address, the ends and other machines go the ordinary way.
template <class Pair, class Single>
void streamed([[maybe_unused]] double* target, Index n, [[maybe_unused]] const Pair& pair, const Single& single) {
  Index x = 0;
#if defined(__SSE2__)
  for (; x < n && reinterpret_cast<std::uintptr_t>(target + x) % 16 != 0; ++x) single(x);
  for (; x + 2 <= n; x += 2) _mm_stream_pd(target + x, pair(x));
  _mm_sfence();
#endif
  for (; x < n; ++x) single(x);
}

void copy_streaming(double* target, const double* source, Index n) {
#if defined(__SSE2__)
  const auto pair = [&](Index x) { return _mm_loadu_pd(source + x); };
#else
  const int pair = 0;
#endif
  streamed(target, n, pair, [&](Index x) { target[x] = source[x]; });
}

void write_streaming(double* target, Index n, double value) {
#if defined(__SSE2__)
  const auto pair = [&](Index) { return _mm_set1_pd(value); };
#else
  const int pair = 0;
#endif
  streamed(target, n, pair, [&](Index x) { target[x] = value; });
}

// job(first, length) for each thread's share of n values.
template <class Job>
std::function<void(int)> shared_out(const Team& team, Index n, Job job) {
  return [&team, n, job](int thread) {
    const Index first = first_item(n, thread, team.size());
    job(first, first_item(n, thread + 1, team.size()) - first);
  };
}

}  // namespace

template <class T>
double multiply_add_rate(int threads, double seconds) {
  constexpr Index rounds = 1 << 19;  // a few milliseconds: long beside waking the threads
  const Peak<T>& peak = peak_of<T>(*kernel_table().peak);
  Team team(threads);
  std::vector<T> kept(static_cast<std::size_t>(team.size()));  // read by nobody, but the compiler cannot know
  const double work = static_cast<double>(rounds) * static_cast<double>(peak.per_round) * team.size();
  return best_rate(team, work, seconds, [&](int thread) { kept[static_cast<std::size_t>(thread)] = peak.multiply_adds(rounds); });
}

template double multiply_add_rate<float>(int, double);
template double multiply_add_rate<double>(int, double);

double copy_rate(double* target, const double* source, Index n, int threads, double seconds) {
  Team team(threads);
  const double work = 2.0 * sizeof(double) * static_cast<double>(n);
  const auto ordinary = shared_out(team, n, [=](Index first, Index length) {
    std::memcpy(target + first, source + first, static_cast<std::size_t>(length) * sizeof(double));
  });
  const auto streaming = shared_out(team, n, [=](Index first, Index length) { copy_streaming(target + first, source + first, length); });
  const double by_library = best_rate(team, work, seconds / 2, ordinary);
  return std::max(by_library, best_rate(team, work, seconds / 2, streaming));
}

double write_rate(double* target, Index n, int threads, double seconds) {
  Team team(threads);
  const double work = sizeof(double) * static_cast<double>(n);
  const auto ordinary = shared_out(team, n, [=](Index first, Index length) {
    std::memset(target + first, 0, static_cast<std::size_t>(length) * sizeof(double));
  });
  const auto streaming = shared_out(team, n, [=](Index first, Index length) { write_streaming(target + first, length, 1.0); });
  const double by_library = best_rate(team, work, seconds / 2, ordinary);
  return std::max(by_library, best_rate(team, work, seconds / 2, streaming));
}

}  // namespace erffast
