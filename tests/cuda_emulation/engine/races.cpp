#include "races.hpp"

#include <algorithm>

namespace cuda_emulation {

namespace {

constexpr std::int16_t several = -1;

std::int16_t warp_of(int thread) { return static_cast<std::int16_t>(thread / 32 + 1); }

}  // namespace

void Races::begin_block(int threads) {
  times_.assign(static_cast<std::size_t>(threads + 31) / 32 * 32, Times{});
  for (std::size_t thread = 0; thread < times_.size(); ++thread) times_[thread][thread % 32] = 1;
}

void Races::lanes_meet(int warp, unsigned mask) {
  Times known{};
  for (int lane = 0; lane < 32; ++lane)
    if ((mask >> lane & 1) != 0) std::ranges::transform(known, times(warp * 32 + lane), known.begin(), std::ranges::max);
  for (int lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    times(warp * 32 + lane) = known;
    ++times(warp * 32 + lane)[static_cast<std::size_t>(lane)];
  }
}

bool Races::ordered_after_write(const Cell& cell, const Access& access) {
  const int writer = cell.writer - 1;
  if (writer == access.thread || cell.write_phase != static_cast<std::uint32_t>(access.phase)) return true;
  return writer / 32 == access.thread / 32 && times(access.thread)[static_cast<std::size_t>(writer % 32)] >= cell.write_time;
}

// Whether the thread, of the readers' warp, is ordered after all of them. The time of a lane is taken to be that of the latest, which
// can only find too much.
bool Races::knows_readers(const Cell& cell, int thread) {
  for (int lane = 0; lane < 32; ++lane)
    if (lane != thread % 32 && (cell.reading_lanes >> lane & 1) != 0 && times(thread)[static_cast<std::size_t>(lane)] < cell.read_time)
      return false;
  return true;
}

bool Races::ordered_after_reads(const Cell& cell, const Access& access) {
  if (cell.read_phase != static_cast<std::uint32_t>(access.phase)) return true;
  return cell.reading_warp == warp_of(access.thread) && knows_readers(cell, access.thread);
}

const char* Races::access(Cell& cell, const Access& access) {
  if (cell.epoch != access.epoch) {
    const bool initialised = cell.initialised && !access.shared;
    cell = {};
    cell.epoch = access.epoch;
    cell.initialised = initialised;
  }
  const char* wrong = nullptr;
  if ((!access.write || access.atomic) && !cell.initialised)
    wrong = access.shared ? "read of uninitialised shared memory" : "read of uninitialised global memory";
  if (cell.writer != 0 && !(access.atomic && cell.atomic)) {
    if (cell.writing_block != access.block) wrong = "race between blocks: another has written here";
    else if (!ordered_after_write(cell, access))
      wrong = access.write ? "race: write after another thread's write, nothing between" : "race: read after another thread's write, nothing between";
  }
  if (access.write && cell.reading_warp != 0) {
    if (cell.reading_block != access.block || cell.read_by_others) wrong = "race between blocks: another has read what is written here";
    else if (!ordered_after_reads(cell, access)) wrong = "race: write after another thread's read, nothing between";
  }
  if (access.write) remember_write(cell, access);
  else remember_read(cell, access);
  return wrong;
}

void Races::remember_write(Cell& cell, const Access& access) {
  cell.writer = static_cast<std::int16_t>(access.thread + 1);
  cell.writing_block = access.block;
  cell.write_phase = static_cast<std::uint32_t>(access.phase);
  cell.write_time = times(access.thread)[static_cast<std::size_t>(access.thread % 32)];
  cell.atomic = access.atomic;
  cell.initialised = true;
}

// Readers that are all ordered before this one need not be kept: who comes after this one comes after them.
void Races::remember_read(Cell& cell, const Access& access) {
  const bool same_block = cell.reading_warp != 0 && cell.reading_block == access.block;
  if (cell.reading_warp != 0 && !same_block) cell.read_by_others = true;
  if (!same_block || ordered_after_reads(cell, access)) {
    cell.reading_warp = warp_of(access.thread);
    cell.reading_lanes = 0;
    cell.read_time = 0;
  } else if (cell.reading_warp != warp_of(access.thread)) {
    cell.reading_warp = several;
  }
  cell.reading_block = access.block;
  cell.read_phase = static_cast<std::uint32_t>(access.phase);
  cell.reading_lanes |= 1u << (access.thread % 32);
  cell.read_time = std::max(cell.read_time, times(access.thread)[static_cast<std::size_t>(access.thread % 32)]);
}

}  // namespace cuda_emulation
