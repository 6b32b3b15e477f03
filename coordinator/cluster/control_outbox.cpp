// Why not simply send: libzmq bounds the queue to a peer in messages, not in bytes, and an
// assignment of a large model takes hundreds of kilobytes. So large messages are only marked here,
// made when they leave, and no more of them leave than the peer has confirmed by answering a beat
// sent behind them.
#include "coordinator/cluster/control_outbox.h"

#include <algorithm>
#include <utility>

namespace potluck {
namespace {

constexpr Duration kAskAgain = kHeartbeatInterval;
const size_t kWelcome = Message(Welcome{}).index();

// About what they take on the wire.
uint64_t bytes_of(const Roster& roster) {
  uint64_t bytes = 64;
  for (const RosterPeer& peer : roster.peers) {
    bytes += 64 + peer.bulk_endpoint.size() + peer.name.size();
  }
  return bytes;
}

uint64_t bytes_of(const Assignment& assignment) {
  uint64_t bytes = 64 + assignment.units.size() * 6;
  for (const auto& holders : assignment.holders) bytes += 1 + 2 * holders.size();
  return bytes;
}

}  // namespace

void ControlOutbox::add(const PeerKey& peer, Channel channel, Message message) {
  if (peers_.size() >= kPeers && !peers_.contains(peer)) {
    // Most of them are only kept for what they have not confirmed.
    std::erase_if(peers_, [](const auto& entry) { return entry.second.nothing_to_say(); });
    if (peers_.size() >= kPeers) return;
  }
  Peer& entry = peers_[peer];
  // A worker that is welcomed may have started anew, and its earlier life took the beat with it:
  // ask again at once.
  if (message.index() == kWelcome) entry.asked_at = -kAskAgain;
  // One slot for each kind: however often something is said before it leaves, it takes the memory
  // of one.
  Message& slot = entry.small[{channel, message.index()}];
  const auto* before = std::get_if<Heartbeat>(&slot);
  auto* beat = std::get_if<Heartbeat>(&message);
  if (before != nullptr && beat != nullptr && before->epoch == beat->epoch) {
    beat->reply_wanted = beat->reply_wanted || before->reply_wanted;
  }
  slot = std::move(message);
}

void ControlOutbox::drop(const PeerKey& peer) {
  auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  found->second.small.clear();
  found->second.roster = found->second.assignment = false;
}

std::vector<OutgoingMessage> ControlOutbox::take(TimePoint now, uint64_t epoch,
                                                 const Makers& makers) {
  std::vector<OutgoingMessage> out;
  for (auto entry = peers_.begin(); entry != peers_.end();) {
    auto& [key, peer] = *entry;
    // A worker ignores the roster of an epoch that it was not welcomed to.
    take_small(key, peer, true, &out);
    take_large(key, peer, makers, &out);
    take_small(key, peer, false, &out);
    if (peer.wants_large()) ask(key, peer, now, epoch, &out);
    entry = peer.empty() ? peers_.erase(entry) : std::next(entry);
  }
  return out;
}

void ControlOutbox::take_small(const PeerKey& key, Peer& peer, bool welcome,
                               std::vector<OutgoingMessage>* out) {
  for (auto entry = peer.small.begin(); entry != peer.small.end();) {
    auto& [kind, message] = *entry;
    if ((kind.second == kWelcome) != welcome) {
      ++entry;
      continue;
    }
    out->push_back({key, kind.first, std::move(message), {}});
    entry = peer.small.erase(entry);
  }
}

// An assignment names its holders by their place in the roster: it never goes before that.
void ControlOutbox::take_large(const PeerKey& key, Peer& peer, const Makers& makers,
                               std::vector<OutgoingMessage>* out) {
  auto room = [&] { return peer.asked == 0 && peer.unconfirmed < kUnconfirmedBytes; };
  if (peer.roster && room()) {
    Roster roster = makers.roster(key);
    peer.unconfirmed += bytes_of(roster);
    peer.roster = false;
    out->push_back({key, Channel::kCompute, std::move(roster), {}});
  }
  if (peer.assignment && !peer.roster && room()) {
    Assignment assignment = makers.assignment(key);
    peer.unconfirmed += bytes_of(assignment);
    peer.assignment = false;
    out->push_back({key, Channel::kCompute, std::move(assignment), {}});
  }
}

// Asked again every kAskAgain: a worker that has started anew never heard the first beat.
void ControlOutbox::ask(const PeerKey& key, Peer& peer, TimePoint now, uint64_t epoch,
                        std::vector<OutgoingMessage>* out) {
  if (peer.asked != 0 && now < peer.asked_at + kAskAgain) return;
  uint64_t sequence = next_sequence();
  if (peer.asked == 0) {
    peer.asked = sequence;
    peer.asked_since = now;
  }
  peer.asked_at = now;
  out->push_back({key, Channel::kCompute, Heartbeat{epoch, sequence, true}, {}});
}

void ControlOutbox::on_answered(const PeerKey& peer, uint64_t sequence) {
  auto found = peers_.find(peer);
  if (found == peers_.end() || found->second.asked == 0) return;
  // Messages arrive in order, so an answer to a later beat confirms as well. A number that was
  // never sent confirms nothing.
  if (sequence < found->second.asked || sequence >= next_sequence_) return;
  found->second.asked = 0;
  found->second.unconfirmed = 0;
  if (found->second.empty()) peers_.erase(found);
}

std::vector<PeerKey> ControlOutbox::stuck(TimePoint now) const {
  std::vector<PeerKey> keys;
  for (const auto& [key, peer] : peers_) {
    if (peer.waits() && now - peer.asked_since >= kPatience) keys.push_back(key);
  }
  return keys;
}

std::optional<TimePoint> ControlOutbox::next_change() const {
  std::optional<TimePoint> next;
  for (const auto& [key, peer] : peers_) {
    if (!peer.waits()) continue;
    next = std::min(next.value_or(TimePoint::max()), peer.asked_at + kAskAgain);
  }
  return next;
}

}  // namespace potluck
