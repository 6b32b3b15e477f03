// Quarantine: a worker that answered wrongly stays a member, so that people see it and others may
// still fetch from it what they can verify, but holds no unit. It gets out when it greets after its
// time, with a self-test that passes, or by its owner's word.
#include <fmt/format.h>

#include "coordinator/cluster/membership.h"

namespace potluck {

QuarantineList& Membership::quarantine_list() {
  return options_.quarantine != nullptr ? *options_.quarantine : own_quarantine_;
}

void Membership::quarantine(const PeerKey& peer, const std::string& reason) {
  if (quarantine_list().contains(peer)) return;
  Status written = quarantine_list().add(peer, reason, clock_.unix_seconds());
  const QuarantineEntry& entry = quarantine_list().entries().at(peer);
  int64_t minutes = (entry.until_seconds - clock_.unix_seconds()) / 60;
  notices_.add(
      fmt::format("{} is in quarantine for {} minutes at least: {}{}", state_.describe(peer),
                  minutes, reason,
                  written ? "" : "; this could not be written: " + written.error().message),
      LogLevel::kError, {{"worker", peer.brief()}, {"reason", reason}, {"minutes", minutes}});
  if (!is_member(peer)) return;
  state_.apply(WorkerQuarantined{peer, reason, entry.until_seconds});
  rebalance();
}

size_t Membership::release_quarantined() {
  size_t released = 0;
  for (const auto& [peer, entry] : std::map(quarantine_list().entries())) {
    if (!quarantine_list().release(peer)) continue;
    ++released;
    state_.apply(WorkerReleased{peer});
    notices_.add(state_.describe(peer) + " is out of quarantine: its owner says so",
                 LogLevel::kInfo, {{"worker", peer.brief()}});
  }
  if (released > 0) rebalance();
  return released;
}

// Its greeting was found good. Returns whether it may hold units that it could not hold before.
bool Membership::greet_quarantined(const PeerKey& peer) {
  bool released = quarantine_list().release_if_due(peer, clock_.unix_seconds());
  if (released) {
    notices_.add(
        state_.describe(peer) + " is out of quarantine: its time is over, and its self-test passed",
        LogLevel::kInfo, {{"worker", peer.brief()}});
  }
  if (quarantine_list().contains(peer)) {
    const QuarantineEntry& entry = quarantine_list().entries().at(peer);
    state_.apply(WorkerQuarantined{peer, entry.reason, entry.until_seconds});
  } else {
    state_.apply(WorkerReleased{peer});
  }
  return released;
}

// What workers in quarantine hold, they hold no longer.
void Membership::empty_quarantined() {
  for (const auto& [peer, record] : state_.workers()) {
    if (record.quarantine && !record.assigned.empty()) assign(peer, {});
  }
}

}  // namespace potluck
