// One message or tick may change many things (who is a member, who is told what), but nothing is
// sent here: it is marked in the outbox, and take_outgoing() makes of it what is true when it
// leaves. How greetings are answered is in membership_greetings.cpp,
// and who holds what in membership_placement.cpp.
#include "coordinator/cluster/membership.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "protocol/peer_text.h"
#include "protocol/report_limits.h"

namespace potluck {
namespace {

// A peer that we do not know may send a whole queue of old messages: one answer is enough for all.
constexpr Duration kNudgeInterval = std::chrono::milliseconds(100);
// The epoch of no coordinator. A worker that hears of another epoch than its own says Hello. Told
// our own, a worker that we gave up in this very epoch would think that all is well.
constexpr uint64_t kNoEpoch = 0;
constexpr size_t kReasonBytes = 256;

// What workers say about their room is acted upon together: placing all units takes a while.
constexpr Duration kRoomInterval = std::chrono::seconds(1);
// A move that takes longer holds up no others.
constexpr Duration kLongestMove = std::chrono::minutes(10);
// Bytes per second that no device of the next years reads or multiplies with.
constexpr uint64_t kFastestDevice = uint64_t{1} << 44;

}  // namespace

Membership::Membership(MembershipOptions options, const Manifest& manifest, AllowList& allow_list,
                       InvitationBook& invitations, const Clock& clock)
    : options_(std::move(options)),
      manifest_(manifest),
      kernel_parts_(manifest.kernel_parts()),
      allow_list_(allow_list),
      invitations_(invitations),
      clock_(clock),
      shares_(manifest, options_.top_k, options_.slices, options_.learned, options_.own),
      moves_(manifest, options_.slices),
      last_tick_(clock.now()) {
  CHECK(options_.epoch != kNoEpoch);
  ByteVector encoded = manifest.encode();
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
    lose({{from, text.empty() ? "it left" : "it left: " + text}});
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
  send(from, Channel::kJoin, JoinAccept{options_.compute_endpoint, options_.bulk_endpoint});
}

void Membership::update_residency(const PeerKey& from, const Residency& residency) {
  if (residency.epoch != options_.epoch) {
    nudge(from);
    return;
  }
  // A header may hold far more units than a worker can have; looking each of them up would cost us
  // more than sending them costs it.
  size_t most = std::max(residency.ready.size(), residency.lost.size());
  if (most > limits::kUnitsPerReport) {
    refuse(from, Channel::kCompute, RefusalReason::kProtocol,
           fmt::format("a report of {} units, expected at most {}", most, limits::kUnitsPerReport));
    return;
  }
  // Room does not depend on the assignment that a report is about.
  update_room(from, residency.room_bytes);
  const WorkerRecord& record = *state_.worker(from);
  // About an older assignment: the worker reports again on the one that is on its way to it.
  if (residency.version != record.assignment_version) return;
  // Told, but no reason to end a membership: ClusterState passes over what is not assigned.
  auto foreign = std::count_if(residency.ready.begin(), residency.ready.end(),
                               [&](UnitId unit) { return !record.assigned.contains(unit); });
  if (foreign > 0) {
    notices_.add(fmt::format("{} offered {} units that are not assigned to it",
                             state_.describe(from), foreign),
                 LogLevel::kWarning, {{"worker", from.brief()}, {"units", foreign}});
  }
  state_.apply(UnitsReady{from, residency.ready});
  on_units_lost(from, residency.lost);
}

void Membership::update_room(const PeerKey& from, uint64_t room_bytes) {
  const WorkerRecord& record = *state_.worker(from);
  if (record.room_bytes == room_bytes) return;
  bool less = room_bytes < std::min(record.room_bytes, record.disk_bytes);
  if (less && !room_changed_) {  // once for each time that units are placed
    notices_.add(
        fmt::format("{} has room for no more than {} at present: what it lacks goes elsewhere",
                    state_.describe(from), format_bytes(room_bytes)),
        LogLevel::kInfo, {{"worker", from.brief()}, {"room_bytes", room_bytes}});
  }
  state_.apply(RoomReported{from, room_bytes});
  room_changed_ = true;
}

// One worker's word: it is shown, and nothing else follows from it (see ClusterState::accusers).
void Membership::update_sources(const PeerKey& from, const SourceReport& report) {
  if (report.epoch != options_.epoch) {
    nudge(from);
    return;
  }
  SourcesReported event{from, report.coordinator_bytes, report.file_bytes, {}, {}};
  for (const PeerSource& peer : report.peers) {
    event.peer_bytes[peer.key] = peer.bytes;
    if (peer.bad) event.accused.insert(peer.key);
  }
  const std::set<PeerKey>& known = state_.worker(from)->sources.accused;
  for (const PeerKey& peer : event.accused) {
    if (known.contains(peer)) continue;
    notices_.add(fmt::format("{} says that {} sent it wrong bytes instead of experts",
                             state_.describe(from), state_.describe(peer)),
                 LogLevel::kWarning, {{"worker", from.brief()}, {"accused", peer.brief()}});
  }
  state_.apply(std::move(event));
}

void Membership::update_health(const PeerKey& from, const HealthReport& report) {
  if (report.epoch != options_.epoch) {
    nudge(from);
    return;
  }
  WorkerHealth health{
      report.share, clean_text(report.text, kReasonBytes), {}, report.on_battery, {}};
  if (report.battery_percent <= 100) health.battery_percent = report.battery_percent;
  if (report.celsius != HealthReport::kNoThermometer) health.celsius = report.celsius;
  if (health.share != state_.worker(from)->health.share) {
    notices_.add(fmt::format("{} lends {} % of its speed{}{}", state_.describe(from), health.share,
                             health.reason.empty() ? "" : ": ", health.reason),
                 LogLevel::kInfo, {{"worker", from.brief()}, {"share", int64_t{health.share}}});
  }
  const uint8_t before = state_.worker(from)->health.share;
  const uint8_t share = health.share;
  state_.apply(HealthReported{from, std::move(health)});
  if (share != before) shares_.workers_changed(clock_.now());
  // One that lends nothing hands over what it holds, and gets its part back later.
  if ((share == 0) != (before == 0)) rebalance();
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

// What a worker says is no more than a beginning: numbers beyond any device are cut, and what it
// then does is seen in its answers.
void Membership::update_speed(const PeerKey& from, const DeviceSpeed& speed) {
  if (speed.epoch != options_.epoch) {
    nudge(from);
    return;
  }
  bool first = !state_.worker(from)->facts.says_its_speed();
  SpeedReported event{from, std::min(speed.threads, limits::kThreads), 0, {}};
  event.disk_rate = static_cast<double>(std::min(speed.disk_bytes_per_second, kFastestDevice));
  for (ProductSpeed product : speed.products) {
    // There may be many formats that the model does not use, and some that it uses may be missing.
    KernelPart part = products_of(product.format);
    if (!std::binary_search(kernel_parts_.begin(), kernel_parts_.end(), part)) continue;
    product.one_row = std::min(product.one_row, kFastestDevice);
    product.many_rows = std::min(product.many_rows, kFastestDevice);
    event.products.push_back(product);
  }
  state_.apply(std::move(event));
  shares_.speed_changed(clock_.now(), first);
}

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
  size_t left = state_.workers().size();
  for (size_t i = 0; i < losses.size(); ++i) {
    std::string next =
        left == 0
            ? fmt::format("the coordinator computes its {} units itself", units[i])
            : fmt::format("its {} units move to {} worker{}", units[i], left, left == 1 ? "" : "s");
    notices_.add(texts[i] + "; " + next, LogLevel::kWarning,
                 {{"worker", losses[i].peer.brief()},
                  {"reason", losses[i].reason},
                  {"units", units[i]},
                  {"workers_left", left}});
  }
  announce_roster();
  shares_.workers_changed(clock_.now());
  rebalance();
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
