// Lanes of a warp that meet: each waits until all lanes that its mask names, and that live, are at the same place with the same mask.
#include "block.hpp"
#include "observer.hpp"

namespace cuda_emulation {

Exchanged Block::exchange(unsigned mask, std::uint64_t value, unsigned source, std::source_location site) {
  const InEmulation inside(*this);
  Thread& me = running();
  const auto warp = static_cast<std::size_t>(current_ / 32);
  const unsigned bit = 1u << (current_ % 32);
  me.site = site;
  if ((mask & bit) == 0) fail("at " + describe(site) + ": called by a lane that its mask does not name");
  me.mask = mask;
  me.value = value;
  me.source = source;
  me.state = State::at_warp;
  waiting_[warp] |= bit;
  if ((waiting_[warp] & mask) == (mask & living_[warp])) release_warp(static_cast<int>(warp));
  wait();
  return me.received;
}

// The lanes of the thread's warp that wait for the same as it.
unsigned Block::arrived_with(int thread) const {
  const Thread& one = at(thread);
  const int begin = thread / 32 * 32;
  unsigned lanes = 0;
  for (int i = begin; i < begin + 32 && i < threads(); ++i) {
    const Thread& other = at(i);
    if (other.state == State::at_warp && other.mask == one.mask && same_site(other.site, one.site)) lanes |= 1u << (i - begin);
  }
  return lanes;
}

void Block::release_warp(int warp) {
  const auto w = static_cast<std::size_t>(warp);
  for (int i = warp * 32; i < warp * 32 + 32 && i < threads(); ++i) {
    if (at(i).state != State::at_warp) continue;
    const unsigned wanted = at(i).mask & living_[w];
    if ((arrived_with(i) & wanted) == wanted) hand_out(warp, wanted);
  }
}

void Block::hand_out(int warp, unsigned mask) {
  const auto lane_of = [&](unsigned lane) -> Thread& { return at(warp * 32 + static_cast<int>(lane)); };
  unsigned ballot = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((mask >> lane & 1) != 0 && lane_of(lane).value != 0) ballot |= 1u << lane;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    const unsigned source = lane_of(lane).source;
    const bool takes_part = source < 32 && (mask >> source & 1) != 0;  // what another lane would give is undefined: NaN
    lane_of(lane).received = {takes_part ? lane_of(source).value : ~std::uint64_t{0}, ballot};
  }
  waiting_[static_cast<std::size_t>(warp)] &= ~mask;
  if (Observer* const checks = observer()) checks->lanes_meet(warp, mask);
  const bool reverse = configuration().order == Configuration::Order::reverse;
  for (unsigned i = 0; i < 32; ++i) {
    const unsigned lane = reverse ? 31 - i : i;
    if ((mask >> lane & 1) != 0) push(warp * 32 + static_cast<int>(lane));
  }
}

}  // namespace cuda_emulation
