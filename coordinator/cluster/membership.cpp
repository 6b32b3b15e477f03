// One message or tick may change many things (who is a member, who is told what), but nothing is
// sent here: it is marked in the outbox, and take_outgoing() makes of it what is true when it
// leaves. How greetings are answered is in membership_greetings.cpp, what workers say of themselves
// in membership_reports.cpp, who holds what in membership_placement.cpp, how workers go in
// membership_departures.cpp, and whose answers are not trusted in membership_trust.cpp.
#include "coordinator/cluster/membership.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

// A peer that we do not know may send a whole queue of old messages: one answer is enough for all.
constexpr Duration kNudgeInterval = std::chrono::milliseconds(100);
// The epoch of no coordinator. A worker that hears of another epoch than its own says Hello. Told
// our own, a worker that we gave up in this very epoch would think that all is well.
constexpr uint64_t kNoEpoch = 0;

// What workers say about their room is acted upon together: placing all units takes a while.
constexpr Duration kRoomInterval = std::chrono::seconds(1);
// A move that takes longer holds up no others.
constexpr Duration kLongestMove = std::chrono::minutes(10);

}  // namespace

Membership::Membership(MembershipOptions options, const Manifest& manifest, AllowList& allow_list,
                       InvitationBook& invitations, const Clock& clock)
    : options_(std::move(options)),
      manifest_(manifest),
      kernel_parts_((options_.outline != nullptr ? *options_.outline : manifest).kernel_parts()),
      allow_list_(allow_list),
      invitations_(invitations),
      clock_(clock),
      shares_(options_.outline != nullptr ? *options_.outline : manifest, options_.top_k,
              options_.slices, options_.learned, options_.own, options_.prefer),
      moves_(manifest, options_.slices),
      last_tick_(clock.now()) {
  CHECK(options_.epoch != kNoEpoch);
  name_manifest();
}

void Membership::name_manifest() {
  ByteVector encoded = manifest_.encode();
  manifest_digest_ = sha256(encoded);
  manifest_bytes_ = encoded.size();
}

bool Membership::on_message(const PeerKey& from, Channel channel, const Message& message) {
  bool join = std::holds_alternative<JoinRequest>(message);
  bool ours =
      join || std::holds_alternative<Hello>(message) ||
      std::holds_alternative<Residency>(message) || std::holds_alternative<SourceReport>(message) ||
      std::holds_alternative<HealthReport>(message) ||
      std::holds_alternative<DeviceSpeed>(message) || std::holds_alternative<Heartbeat>(message) ||
      std::holds_alternative<Goodbye>(message);
  if (!ours) return false;
  // Strangers can reach the join channel: no other verb may be taken from it.
  if (channel != (join ? Channel::kJoin : Channel::kCompute)) {
    refuse(from, channel, RefusalReason::kProtocol,
           fmt::format("{} has no place on this channel", message_name(message)));
    return true;
  }
  if (const auto* request = std::get_if<JoinRequest>(&message)) {
    accept_join(from, *request);
  } else if (const auto* hello = std::get_if<Hello>(&message)) {
    on_hello(from, *hello);
  } else {
    on_member_message(from, message);
  }
  return true;
}

void Membership::on_member_message(const PeerKey& from, const Message& message) {
  // First of all: an allowed key that is no member is told so by this, whatever it says.
  heard_from(from);
  // It has left again before its greeting was answered: answering now would admit a worker that is
  // gone.
  if (std::holds_alternative<Goodbye>(message)) forget_held_greeting(from);
  if (!is_member(from)) return;
  if (const auto* residency = std::get_if<Residency>(&message)) {
    update_residency(from, *residency);
  } else if (const auto* report = std::get_if<SourceReport>(&message)) {
    update_sources(from, *report);
  } else if (const auto* health = std::get_if<HealthReport>(&message)) {
    update_health(from, *health);
  } else if (const auto* speed = std::get_if<DeviceSpeed>(&message)) {
    update_speed(from, *speed);
  } else if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    // A beat that wants an answer is the worker's own, and its number means nothing to the outbox.
    if (!heartbeat->reply_wanted) outbox_.on_answered(from, heartbeat->sequence);
    answer_heartbeat(from, *heartbeat);
  } else if (const auto* goodbye = std::get_if<Goodbye>(&message)) {
    std::string text = clean_text(goodbye->text, kReasonBytes);
    if (goodbye->hand_over && goodbye->epoch == options_.epoch) {
      drain(from, text);
    } else {
      lose({{from, text.empty() ? "it left" : "it left: " + text}});
    }
  }
}

void Membership::heard_from(const PeerKey& peer) {
  auto known = clocks_.find(peer);
  if (known != clocks_.end()) {
    known->second.heard(clock_.now());
  } else if (allow_list_.contains(peer)) {
    nudge(peer);
  }
}

void Membership::sent_to(const PeerKey& peer) {
  auto known = clocks_.find(peer);
  if (known != clocks_.end()) known->second.sent(clock_.now());
}

void Membership::on_unreachable(const PeerKey& peer, const std::string& reason) {
  if (is_member(peer)) lose({{peer, reason}});
}

void Membership::on_units_lost(const PeerKey& peer, const std::vector<UnitId>& units) {
  const WorkerRecord* record = state_.worker(peer);
  if (record == nullptr || units.empty()) return;
  size_t before = record->ready.size();
  state_.apply(UnitsLost{peer, units});
  if (record->ready.size() == before) return;
  if (std::set<UnitId> kept = moves_.lost(peer, units); !kept.empty()) take_away(peer, kept);
  size_t lost = before - record->ready.size();
  notices_.add(
      fmt::format("{} lost {} of its units and fetches them again", state_.describe(peer), lost),
      LogLevel::kWarning, {{"worker", peer.brief()}, {"units", lost}});
}

void Membership::probe(const PeerKey& peer) {
  if (is_member(peer)) send_heartbeat(peer, false);
}

void Membership::on_tick() {
  TimePoint now = clock_.now();
  last_tick_ = now;
  std::vector<Loss> dead;
  for (auto& [peer, clock] : clocks_) {
    Liveness liveness = clock.liveness(now);
    if (liveness == Liveness::kDead) {
      dead.push_back({peer, fmt::format("no sign of life for {:.1f} s", in_seconds(kDeadAfter))});
    } else if (clock.beat_due(now)) {
      send_heartbeat(peer, liveness == Liveness::kSuspect);
    }
  }
  // A peer that sends and does not read would never be silent; it must not keep its units for that.
  for (const PeerKey& peer : outbox_.stuck(now)) {
    bool known = is_member(peer) && std::none_of(dead.begin(), dead.end(), [&](const Loss& loss) {
                   return loss.peer == peer;
                 });
    if (known) dead.push_back({peer, "it does not take what it is sent"});
  }
  lose(dead);
  answer_held_greetings();
  for (const PeerKey& peer : stalled_.take_due(state_, now)) outbox_.add_assignment(peer);
  // Not while experts are still on their way: one move after the other.
  bool may_move = !moves_.moving() || shares_.has_news() || now >= placed_at_ + kLongestMove;
  bool shares_changed = may_move && shares_.look(state_, now);
  if (shares_changed || (room_changed_ && now >= placed_at_ + kRoomInterval)) rebalance();
  release_drained();
  if (moves_.moving() && now >= released_at_ + kReleaseInterval) release_finished();
  if (auto due = founding_due(); due && now >= *due) rebalance();
}

std::optional<TimePoint> Membership::founding_due() const {
  bool patient = founded_ || !first_welcome_ || options_.founding_patience == Duration{0};
  return patient ? std::nullopt : std::optional(*first_welcome_ + options_.founding_patience);
}

void Membership::excuse_silence() {
  for (auto& [peer, clock] : clocks_) clock.heard(clock_.now());
}

// Everything that on_tick() and take_outgoing() do by time has a line here. What is missing here is
// done late, or never while no message comes.
TimePoint Membership::next_tick() const {
  TimePoint next = last_tick_ + kHeartbeatInterval;
  if (auto outbox = outbox_.next_change()) next = std::min(next, *outbox);
  for (const auto& [peer, greeting] : greetings_) {
    if (greeting.held) next = std::min(next, greeting.answered_at + greeting.pause);
  }
  for (const auto& [peer, clock] : clocks_) next = std::min(next, clock.next_due());
  if (auto stalled = stalled_.next()) next = std::min(next, *stalled);
  if (room_changed_) next = std::min(next, placed_at_ + kRoomInterval);
  if (moves_.moving()) next = std::min(next, released_at_ + kReleaseInterval);
  if (auto look = shares_.next_look()) {
    bool waits = moves_.moving() && !shares_.has_news();
    TimePoint free = waits ? placed_at_ + kLongestMove : TimePoint{0};
    next = std::min(next, std::max(*look, free));
  }
  if (auto due = founding_due()) next = std::min(next, *due);
  return next;
}

Liveness Membership::liveness(const PeerKey& peer) const {
  auto known = clocks_.find(peer);
  return known == clocks_.end() ? Liveness::kDead : known->second.liveness(clock_.now());
}

std::vector<OutgoingMessage> Membership::take_outgoing() {
  return outbox_.take(clock_.now(), options_.epoch,
                      {[this](const PeerKey& peer) { return roster_for(peer); },
                       [this](const PeerKey& peer) { return assignment_of(peer); }});
}

std::vector<PeerKey> Membership::take_reset_workers() {
  return std::exchange(reset_workers_, {});
}

std::optional<Refusal> Membership::why_not(const PeerKey& from, const Hello& hello) const {
  // The transport lets no such key through; a second look costs nothing.
  if (!allow_list_.contains(from)) {
    return Refusal{
        RefusalReason::kInvitation,
        fmt::format("key {} is not on the allow list: ask for an invitation", from.text())};
  }
  // Before everything else in the greeting: another version may mean something else by the same
  // fields.
  if (hello.protocol_version != kProtocolVersion) {
    return Refusal{RefusalReason::kVersion, fmt::format("protocol version: expected {}, found {}",
                                                        kProtocolVersion, hello.protocol_version)};
  }
  if (hello.arithmetic_version != kArithmeticVersion) {
    return Refusal{RefusalReason::kArithmetic,
                   fmt::format("arithmetic version: expected {}, found {}", kArithmeticVersion,
                               hello.arithmetic_version)};
  }
  if (auto refusal = other_kernels(from, hello)) return refusal;
  if (!is_member(from) && state_.workers().size() >= worker_limit()) {
    return Refusal{RefusalReason::kFull, fmt::format("the pool is full: {} workers of at most {}",
                                                     state_.workers().size(), worker_limit())};
  }
  return std::nullopt;
}

// The first part that this model needs and that the worker computes in another way, or not at all.
std::optional<Refusal> Membership::other_kernels(const PeerKey& from, const Hello& hello) const {
  for (KernelPart part : kernel_parts_) {
    std::optional<Digest> expected = find_digest(options_.kernels, part);
    std::optional<Digest> found = find_digest(hello.kernels, part);
    if (found == expected) continue;
    auto brief = [](const std::optional<Digest>& digest) {
      return digest ? digest->brief() : "none";
    };
    return Refusal{
        RefusalReason::kArithmetic,
        fmt::format("kernels of {} ({}): {}, which this model needs: expected digest {}, found {}",
                    clean_text(hello.name, kShownNameBytes), from.brief(), kernel_part_name(part),
                    brief(expected), brief(found))};
  }
  return std::nullopt;
}

void Membership::accept_join(const PeerKey& from, const JoinRequest& request) {
  std::string name = clean_text(request.name, kShownNameBytes);
  bool known = allow_list_.contains(from);
  // A member that asks again (our answer was lost) is in already; its new invitation, if it is one,
  // is used up all the same. A worker that cannot be admitted, because the list cannot be saved,
  // keeps a good invitation.
  Status redeemed = invitations_.redeem(request.secret, clock_.unix_seconds(), [&] {
    if (known) return Status();
    Status added = allow_list_.add(from, name);
    return added ? added : Status(added.error().in("the invitation stays good"));
  });
  if (!redeemed && !known) {
    refuse(from, Channel::kJoin, RefusalReason::kInvitation, redeemed.error().message);
    return;
  }
  if (!known) {
    notices_.add(fmt::format("invitation redeemed by {} ({})", name, from.brief()), LogLevel::kInfo,
                 {{"worker", from.brief()}, {"name", name}});
  }
  accept(from);
}

void Membership::accept(const PeerKey& key) {
  answer_stranger(
      key, JoinAccept{options_.compute_endpoint, options_.bulk_endpoint, options_.signing_key, {}});
}

Status Membership::admit_device(const PeerKey& key, const std::string& name) {
  if (Status added = allow_list_.add(key, name); !added) return added;
  notices_.add(fmt::format("{} ({}) is admitted", name, key.brief()), LogLevel::kInfo,
               {{"worker", key.brief()}, {"name", name}});
  accept(key);
  return {};
}

void Membership::answer_heartbeat(const PeerKey& from, const Heartbeat& heartbeat) {
  if (heartbeat.epoch != options_.epoch) {
    nudge(from);
  } else if (heartbeat.reply_wanted) {
    send_heartbeat(from, false);
  }
}

void Membership::nudge(const PeerKey& peer) {
  TimePoint now = clock_.now();
  auto [last, first] = nudged_at_.try_emplace(peer, now);
  if (!first && now - last->second < kNudgeInterval) return;
  last->second = now;
  uint64_t epoch = is_member(peer) ? options_.epoch : kNoEpoch;
  send(peer, Channel::kCompute, Heartbeat{epoch, outbox_.next_sequence(), false});
}

void Membership::refuse(const PeerKey& peer, Channel channel, RefusalReason reason,
                        std::string message) {
  notices_.add(fmt::format("refused {}: {}", state_.describe(peer), message), LogLevel::kWarning,
               {{"peer", peer.brief()}, {"reason", message}});
  send(peer, channel, Refusal{reason, std::move(message)});
}

// As it is when it is sent: several changes are one message.
Assignment Membership::assignment_of(const PeerKey& peer) const {
  const WorkerRecord& record = *state_.worker(peer);
  std::vector<UnitId> units(record.assigned.begin(), record.assigned.end());
  auto holders = holders_for(peer, units);
  return {options_.epoch,   record.assignment_version, options_.slices,
          std::move(units), roster_version_,           std::move(holders)};
}

void Membership::announce_roster() {
  ++roster_version_;
  for (const auto& [receiver, record] : state_.workers()) outbox_.add_roster(receiver);
}

Roster Membership::roster_for(const PeerKey& receiver) const {
  Roster roster{options_.epoch, roster_version_, {}};
  for (const auto& [peer, other] : state_.workers()) {
    if (peer != receiver) roster.peers.push_back({peer, other.bulk_endpoint, other.name});
  }
  return roster;
}

// Of the units that this worker does not have yet, those that others can give it. Where there are
// more of them than a message names, each unit begins with another one.
std::vector<std::vector<uint16_t>> Membership::holders_for(const PeerKey& peer,
                                                           const std::vector<UnitId>& units) const {
  std::map<PeerKey, uint16_t> indices;  // as in this worker's roster
  for (const auto& [other, record] : state_.workers()) {
    if (other != peer) indices.emplace(other, static_cast<uint16_t>(indices.size()));
  }
  const std::set<UnitId>& ready = state_.worker(peer)->ready;
  std::vector<std::vector<uint16_t>> holders(units.size());
  for (size_t i = 0; i < units.size(); ++i) {
    if (ready.contains(units[i])) continue;
    std::span<const PeerKey> keepers = state_.keepers(units[i]);
    for (size_t k = 0; k < keepers.size(); ++k) {
      const PeerKey& keeper = keepers[(i + k) % keepers.size()];
      if (holders[i].size() == limits::kHoldersPerUnit) break;
      // A worker without an endpoint serves no grains.
      if (keeper == peer || state_.worker(keeper)->bulk_endpoint.empty()) continue;
      holders[i].push_back(indices.at(keeper));
    }
  }
  return holders;
}

void Membership::send(const PeerKey& peer, Channel channel, Message message) {
  if (channel == Channel::kCompute) sent_to(peer);
  outbox_.add(peer, channel, std::move(message));
}

void Membership::send_heartbeat(const PeerKey& peer, bool reply_wanted) {
  send(peer, Channel::kCompute, Heartbeat{options_.epoch, outbox_.next_sequence(), reply_wanted});
}

uint32_t Membership::worker_limit() const {
  if (options_.max_workers == 0) return limits::kWorkers;
  return std::min(options_.max_workers, limits::kWorkers);
}

}  // namespace potluck
