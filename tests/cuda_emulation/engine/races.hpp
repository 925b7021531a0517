// What is remembered of each word of memory, and whether an access may come after those before it.
//
// Two accesses to a word, at least one of them a write and not both atomic, must be ordered: by being one thread's, by a barrier of
// their block between them, or by lanes of their warp that met between them, directly or through others. Barriers are counted (the
// phase). Meetings are followed by vector clocks: each lane has a time, which advances whenever it meets others, and knows of each
// other lane of its warp the latest time it is ordered after. Nothing orders two blocks of one launch.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace cuda_emulation {

// Zeros: nothing happened. 4 bytes of memory.
struct Cell {
  std::uint64_t epoch;  // to which the records below belong: the launch of global, the block of shared memory
  std::uint64_t writing_block, reading_block;  // of the last write; of the last reads
  std::uint32_t write_phase, write_time;
  std::uint32_t read_phase, read_time, reading_lanes;  // read_time: the latest of the lanes'
  std::int16_t writer;        // thread + 1
  std::int16_t reading_warp;  // warp + 1; several
  bool initialised, atomic, read_by_others;  // others: blocks before reading_block
};

struct Access {
  std::uint64_t epoch, block, phase;
  int thread;
  bool write, atomic;  // an atomic operation is a write that also reads
  bool shared;
};

class Races {
 public:
  void begin_block(int threads);
  void lanes_meet(int warp, unsigned mask);
  // Null, or what is wrong with the access, which is remembered.
  const char* access(Cell& cell, const Access& access);

 private:
  using Times = std::array<std::uint32_t, 32>;
  Times& times(int thread) { return times_[static_cast<std::size_t>(thread)]; }
  bool ordered_after_write(const Cell& cell, const Access& access);
  bool ordered_after_reads(const Cell& cell, const Access& access);
  bool knows_readers(const Cell& cell, int thread);
  void remember_read(Cell& cell, const Access& access);
  void remember_write(Cell& cell, const Access& access);

  std::vector<Times> times_;
};

}  // namespace cuda_emulation
