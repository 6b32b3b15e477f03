// How workers go: lost, on their own wish once others have what they hold, or by their owner's
// word.
#include <fmt/format.h>

#include "coordinator/cluster/membership.h"

namespace potluck {
namespace {

std::string whose_now(size_t units, size_t workers) {
  if (units == 0) return "";
  if (workers == 0) return fmt::format("; the coordinator computes its {} units itself", units);
  return fmt::format("; its {} units move to {} worker{}", units, workers, workers == 1 ? "" : "s");
}

}  // namespace

// All at once, and only then a new placement: otherwise the units of the first would be assigned to
// a worker that is lost in the next step.
void Membership::lose(const std::vector<Loss>& losses) {
  if (losses.empty()) return;
  std::vector<std::string> texts;
  std::vector<size_t> units;
  for (const Loss& loss : losses) {
    texts.push_back(fmt::format("{} lost: {}", state_.describe(loss.peer), loss.reason));
    units.push_back(state_.worker(loss.peer)->assigned.size());
    state_.apply(WorkerLost{loss.peer, loss.reason});
    clocks_.erase(loss.peer);
    moves_.forget(loss.peer);
    outbox_.drop(loss.peer);
    reset_workers_.push_back(loss.peer);
  }
  for (size_t i = 0; i < losses.size(); ++i) {
    const bool missed = units[i] > 0;
    notices_.add(texts[i] + whose_now(units[i], state_.workers().size()),
                 missed ? LogLevel::kWarning : LogLevel::kInfo,
                 {{"worker", losses[i].peer.brief()},
                  {"reason", losses[i].reason},
                  {"units", units[i]},
                  {"workers_left", state_.workers().size()}});
  }
  announce_roster();
  shares_.workers_changed(clock_.now());
  rebalance();
}

void Membership::drain(const PeerKey& peer, const std::string& text) {
  if (state_.worker(peer)->draining) return;
  state_.apply(WorkerDraining{peer});
  const size_t units = state_.worker(peer)->ready.size();
  notices_.add(fmt::format("{} wants to leave{}{}; its {} units go to others first",
                           state_.describe(peer), text.empty() ? "" : ": ", text, units),
               LogLevel::kInfo, {{"worker", peer.brief()}, {"units", units}});
  shares_.workers_changed(clock_.now());
  rebalance();
  release_drained();
}

void Membership::release_drained() {
  std::vector<Loss> relieved;
  for (const auto& [peer, record] : state_.workers()) {
    if (record.draining && moves_.is_relieved(state_, peer)) {
      relieved.push_back({peer, "it left, and others have its units"});
    }
  }
  if (relieved.empty()) return;
  lose(relieved);
  // Behind it, since losing a peer drops what it was to be told.
  for (const Loss& gone : relieved) {
    send(gone.peer, Channel::kCompute, Goodbye{options_.epoch, "others have its units"});
  }
}

void Membership::revoke(const PeerKey& key) {
  if (is_member(key)) lose({{key, "its key was revoked"}});
  greetings_.erase(key);
  nudged_at_.erase(key);
  send(key, Channel::kCompute,
       Refusal{RefusalReason::kInvitation, "this device's key was revoked"});
}

}  // namespace potluck
