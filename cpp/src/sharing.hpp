// Work shared out to the threads of a call: rows of an image that all of them compute, or draws that each computes for itself.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "erffast/kernels.hpp"
#include "erffast/monitor.hpp"
#include "erffast/threads.hpp"

namespace erffast {

// Counts a thread out, also when an exception passes: the calling thread waits for the count.
struct Leaving {
  std::atomic<int>& busy;
  ~Leaving() { busy.fetch_sub(1); }
};

// The threads that compute one image together, or this thread alone.
class Sharing {
 public:
  // Below this many multiply-adds a step is not worth waking other threads for (they cost some 10 us).
  static constexpr Index parallel_work = 300'000;

  // `team` may be null. `polls`: this thread answers Ctrl-C.
  Sharing(Team* team, Monitor& monitor, bool polls) : team_(team), monitor_(monitor), polls_(polls) {}

  int size() const { return team_ != nullptr ? team_->size() : 1; }
  Team* team() const { return team_; }  // or null
  Monitor& monitor() const { return monitor_; }

  // job(thread, first, last, poll) on shares of the items; returns the largest of the results. poll(work) is called after each piece
  // of work (multiply-adds) and returns false to give up. Threads take the next share as they finish one: a neighbour may slow one of
  // them down. `least`: items that make a share worth its overhead. Throws Cancelled.
  template <class T, class Job>
  T largest(Index items, Index least, Index work, const Job& job) const {
    const int threads = work > parallel_work ? size() : 1;
    if (threads == 1) return by_itself<T>(items, job);
    const int shares = static_cast<int>(std::clamp<Index>(items / least, threads, 2 * threads));
    std::vector<T> peaks(static_cast<std::size_t>(shares));
    std::atomic<int> next{0}, busy{threads};
    const auto part = [&](int thread) {
      const Leaving leaving{busy};
      const auto poll = [&, polls = polls_ && thread == 0](Index done) {
        if (polls) monitor_.tick(done);
        return !monitor_.stopped();
      };
      for (int share = next++; share < shares && !monitor_.stopped(); share = next++) {
        peaks[static_cast<std::size_t>(share)] = job(thread, first_item(items, share, shares), first_item(items, share + 1, shares), poll);
      }
      // the others may be at work for long, and this thread alone answers Ctrl-C
      while (polls_ && thread == 0 && busy.load() > 1 && !monitor_.stopped()) {
        std::this_thread::yield();
        monitor_.tick(1'000'000);  // a yield may take as long as a busy machine likes
      }
    };
    team_->run(part);
    monitor_.throw_if_stopped();
    return kernels_of<T>(kernel_table()).max_abs(peaks.data(), shares);
  }

 private:
  // All items on this thread, without a list of results: small layers are many.
  template <class T, class Job>
  T by_itself(Index items, const Job& job) const {
    monitor_.throw_if_stopped();
    const T peak = job(0, Index{0}, items, [&](Index done) {
      if (polls_) monitor_.tick(done);
      return !monitor_.stopped();
    });
    monitor_.throw_if_stopped();
    return peak;
  }

  Team* team_;
  Monitor& monitor_;
  bool polls_;
};

inline constexpr std::chrono::microseconds longest_pause{1000};

// work(sharing, pieces) runs draws with what it makes for itself first; it takes each draw from pieces() until that is negative. Few
// draws: one after the other, all threads at each. Many: a thread for each, none waiting for another. Throws Cancelled.
template <class Work>
void share_draws(Index draws, int threads, Monitor& monitor, const Work& work) {
  std::atomic<Index> next{0};
  const auto pieces = [&] {
    const Index draw = next++;
    return draw < draws ? draw : -1;
  };
  Team team(threads);
  if (draws < 2 || draws < threads || threads < 2) {
    work(Sharing(&team, monitor, true), pieces);
    return;
  }
  std::atomic<int> busy{team.size()};
  team.run([&](int thread) {
    {
      const Leaving leaving{busy};
      try {
        work(Sharing(nullptr, monitor, thread == 0), pieces);
      } catch (...) {
        monitor.stop();
        throw;
      }
    }
    // keep answering Ctrl-C while the others finish; short calls do not wait for a whole millisecond
    for (auto pause = std::chrono::microseconds(10); thread == 0 && busy.load() > 0 && !monitor.stopped(); pause = std::min(2 * pause, longest_pause)) {
      std::this_thread::sleep_for(pause);
      monitor.tick(1'000'000);
    }
  });
  monitor.throw_if_stopped();
}

// Threads that work on draws of their own, as `share_draws` shares them out.
inline int alone(Index draws, int threads) { return draws < 2 || draws < threads || threads < 2 ? 1 : threads; }

}  // namespace erffast
