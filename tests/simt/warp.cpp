// Collectives of a warp: a rendezvous of exactly those lanes of a mask that have not exited.
// Groups with different masks meet independently of each other.
#include <bit>

#include "tests/simt/block.hpp"

namespace qkjit::simt {

const char* name(Collective kind) {
  switch (kind) {
    case Collective::shfl:
      return "__shfl_sync";
    case Collective::shfl_xor:
      return "__shfl_xor_sync";
    case Collective::shfl_down:
      return "__shfl_down_sync";
    case Collective::ballot:
      return "__ballot_sync";
    case Collective::syncwarp:
      return "__syncwarp";
  }
  return "unknown collective";
}

unsigned Block::meet(const Meeting& meeting) {
  Thread& self = *current_;
  if ((meeting.mask & self.lane_bit()) == 0) {
    fail(fmt::format("{}: mask {:#010x} does not contain the calling lane", name(meeting.kind),
                     meeting.mask));
  }
  if ((meeting.mask >> meeting.source & 1) == 0) {
    fail(fmt::format("{}: reads from lane {}, which is not in mask {:#010x}", name(meeting.kind),
                     meeting.source, meeting.mask));
  }
  self.meeting = meeting;
  self.state = Thread::State::in_warp;
  const unsigned warp = self.number / kWarp;
  warps_[warp].waiting |= self.lane_bit();
  if (!complete(warp, meeting.mask)) suspend();
  return self.meeting.result;
}

// Lets the group of `mask` go on if all of it is there.
bool Block::complete(unsigned warp, unsigned mask) {
  const unsigned group = mask & warps_[warp].live;
  if (group & ~warps_[warp].waiting) return false;
  for (unsigned rest = group; rest != 0; rest &= rest - 1) {
    const unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    if (lane_of(warp, lane).meeting.mask != mask) return false;
  }
  resolve(warp, group);
  warps_[warp].waiting &= ~group;
  for (unsigned rest = group; rest != 0; rest &= rest - 1) {
    make_runnable(lane_of(warp, static_cast<unsigned>(std::countr_zero(rest))));
  }
  return true;
}

// Gives every lane of a complete group its result.
void Block::resolve(unsigned warp, unsigned group) {
  const unsigned first = static_cast<unsigned>(std::countr_zero(group));
  const Collective kind = lane_of(warp, first).meeting.kind;
  unsigned ballot = 0;
  for (unsigned rest = group; rest != 0; rest &= rest - 1) {
    const unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    const Meeting& meeting = lane_of(warp, lane).meeting;
    if (meeting.kind != kind) {
      fail(fmt::format("lane {} is in {} while lane {} is in {}, with the same mask {:#010x}",
                       first, name(kind), lane, name(meeting.kind), meeting.mask));
    }
    ballot |= (meeting.value != 0 ? 1u : 0u) << lane;
  }
  for (unsigned rest = group; rest != 0; rest &= rest - 1) {
    const unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    Meeting& meeting = lane_of(warp, lane).meeting;
    if (kind == Collective::ballot || kind == Collective::syncwarp) {
      meeting.result = ballot;
    } else if ((group >> meeting.source & 1) == 0) {
      fail(fmt::format("{}: lane {} reads from lane {}, which has exited or never was", name(kind),
                       lane, meeting.source));
    } else {
      meeting.result = lane_of(warp, meeting.source).meeting.value;
    }
  }
}

}  // namespace qkjit::simt
