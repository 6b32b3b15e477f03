// Every event ends in the same three questions: are there connections to begin or to end, grains to
// ask for, and news for the coordinator (carry_on())? Asking them too often costs little; asking
// too seldom leaves a worker that waits for nothing.
#include "worker/pool_session.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace potluck {

PoolSession::PoolSession(const PoolAddress& address, WorkerContext& context)
    : context_(context),
      link_(address.coordinator, context.clock, context.actions),
      greeting_(address, context.options, context.kernels, link_),
      manifest_fetch_(address.signing_key, context.manifests, context.save_manifest, link_),
      delivery_(context.store, context.make_room, context.options.disk_bytes, link_),
      sources_(delivery_, context.options.model, link_),
      answering_(context.compute, context.store, context.options, link_),
      health_(link_) {
  health_.set(context.health);
}

void PoolSession::start() {
  greeting_.start();
}

std::optional<uint64_t> PoolSession::member_epoch() const {
  // To be welcomed is not enough: units, grains and requests are understood through the manifest
  // only.
  bool member = greeting_.welcomed() && manifest_ != nullptr && !manifest_fetch_.wanted();
  return member ? std::optional(greeting_.epoch()) : std::nullopt;
}

// --- what comes ---

void PoolSession::on_message(Channel channel, Message& message, ByteVector& tensor) {
  if (channel == Channel::kJoin) {
    greeting_.on_join_answer(message);
    return;
  }
  if (greeting_.joining()) return;
  link_.heard();
  if (channel == Channel::kBulk) {
    const auto* data = std::get_if<BulkData>(&message);
    if (data != nullptr) on_bulk_data(*data, tensor);
    return;
  }
  on_compute_channel(message, tensor);
}

void PoolSession::on_compute_channel(Message& message, ByteVector& tensor) {
  if (auto* request = std::get_if<Compute>(&message)) {
    answering_.on_compute(std::move(*request), std::move(tensor));
  } else if (const auto* welcome = std::get_if<Welcome>(&message)) {
    on_welcome(*welcome);
  } else if (auto* assignment = std::get_if<Assignment>(&message)) {
    on_assignment(std::move(*assignment));
  } else if (const auto* roster = std::get_if<Roster>(&message)) {
    if (greeting_.is_current(roster->epoch)) on_roster(*roster);
  } else if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    greeting_.on_heartbeat(*heartbeat);
  } else if (const auto* refusal = std::get_if<Refusal>(&message)) {
    greeting_.on_refusal(*refusal);
  } else if (const auto* goodbye = std::get_if<Goodbye>(&message)) {
    greeting_.on_goodbye(*goodbye);
  }
}

void PoolSession::on_link(const PeerKey& peer, Channel channel, LinkEvent event) {
  if (peer != link_.coordinator()) {
    on_peer_link(peer, event);
  } else if (event == LinkEvent::kLost) {
    greeting_.on_unreachable();
  } else if (event == LinkEvent::kRefused) {
    greeting_.on_refused(channel);
  } else {
    greeting_.on_connected(channel);
    if (channel == Channel::kBulk) ask_bulk_again();
  }
}

void PoolSession::on_peer_link(const PeerKey& peer, LinkEvent event) {
  if (!sources_.on_peer_link(peer, event)) return;
  if (event == LinkEvent::kLost) tick_sources();
  request_grains();
}

// What was on its way is lost with the connection.
void PoolSession::ask_bulk_again() {
  if (fetching_manifest()) {
    manifest_fetch_.ask_again(sources_.coordinator_window());
    return;
  }
  sources_.ask_again();
  request_grains();
}

void PoolSession::on_peer_data(const PeerKey& peer, const BulkData& data, ByteSpan part) {
  if (sources_.on_data(peer, data, part)) carry_on();
}

void PoolSession::on_welcome(const Welcome& welcome) {
  std::optional<Welcome> before = greeting_.welcome();
  if (!greeting_.accept(welcome)) return;
  bool same_epoch = before && before->epoch == welcome.epoch;
  bool same_manifest = manifest_ != nullptr && before->manifest == welcome.manifest;
  bool same = same_epoch && same_manifest;
  // Answers to an earlier life of the coordinator would be dropped there.
  if (!same) answering_.drop_work();
  delivery_.on_welcome(same);
  if (!same_manifest) sources_.clear();  // else what was begun goes on
  // The coordinator counts its rosters from the start again; until its first one comes, there are
  // no other workers.
  if (!same_epoch) on_roster({welcome.epoch, 0, {}});
  sources_.on_welcome();
  if (same_manifest) {
    become_member();
  } else {
    begin_manifest();
  }
}

void PoolSession::begin_manifest() {
  answering_.drop_cache();
  manifest_.reset();
  greeting_.settle();
  manifest_fetch_.trust(greeting_.signing_key());
  take_manifest(manifest_fetch_.begin(*greeting_.welcome(), sources_.coordinator_window()));
}

// A manifest may come late, while the coordinator is greeted again: then it is read, but nothing
// more of it is asked for before the next Welcome.
void PoolSession::on_bulk_data(const BulkData& data, ByteSpan part) {
  if (manifest_fetch_.awaits(data.digest)) {
    PartWindow& window = sources_.coordinator_window();
    std::unique_ptr<Manifest> manifest = manifest_fetch_.on_part(data, part, window);
    if (greeting_.welcomed()) manifest_fetch_.ask(window);
    take_manifest(std::move(manifest));
    return;
  }
  on_peer_data(link_.coordinator(), data, part);
}

void PoolSession::take_manifest(std::unique_ptr<Manifest> manifest) {
  if (manifest == nullptr) return;
  manifest_ = std::move(manifest);
  sources_.use_manifest(*manifest_);
  become_member();
}

// The coordinator may have forgotten what is ready and what it was asked for.
void PoolSession::become_member() {
  greeting_.settle();
  std::optional<Assignment> early = delivery_.become_member(greeting_.epoch());
  sources_.ask_again();
  tick_sources();
  tell_speed();
  if (early) assign(*early);
  health_.tell_again();
  request_grains();
  report();
  // Behind what it holds: that is what goes to others first.
  if (greeting_.leaving()) greeting_.leave_gently();
}

void PoolSession::tell_speed() {
  std::optional<uint64_t> epoch = member_epoch();
  if (!epoch) return;
  std::optional<DeviceSpeed> speed = context_.speed.for_model(*manifest_);
  if (!speed) return;
  speed->epoch = *epoch;
  link_.send(std::move(*speed));
}

void PoolSession::on_assignment(Assignment assignment) {
  // At once, even if the assignment has to wait: its holders are indices into the roster that holds
  // now.
  sources_.resolve_holders(&assignment);
  bool current = greeting_.is_current(assignment.epoch);
  if (current && manifest_ != nullptr) {
    assign(assignment);
  } else {
    delivery_.keep_early(std::move(assignment));
  }
}

void PoolSession::assign(const Assignment& assignment) {
  if (!delivery_.assign(assignment, *manifest_)) return;
  sources_.restart();
  memory_changed_ = true;
  carry_on();
}

void PoolSession::on_roster(const Roster& roster) {
  sources_.set_roster(roster);
  tick_sources();
  request_grains();
}

void PoolSession::on_health() {
  health_.set(context_.health);
  report();
}

void PoolSession::on_grain_lost(const Digest& digest, const std::string& finding) {
  if (manifest_ == nullptr || delivery_.grain_lost(digest).empty()) return;
  if (!finding.empty()) {
    link_.notice(LogLevel::kWarning, finding + "; fetching it again", {{"grain", digest.brief()}});
  }
  request_grains();
  report();
}

void PoolSession::on_store_gone() {
  answering_.drop_cache();  // with what reads it
  sources_.clear();
  delivery_.store_gone();
  report();
}

// --- what follows from it ---

void PoolSession::tick_sources() {
  sources_.on_tick(member_epoch());
}

void PoolSession::request_grains() {
  if (member_epoch()) sources_.request();
}

void PoolSession::report() {
  if (std::optional<uint64_t> epoch = member_epoch()) delivery_.report(*epoch);
  health_.report(member_epoch());
}

void PoolSession::carry_on() {
  tick_sources();
  request_grains();
  report();
}

void PoolSession::on_tick() {
  if (fetching_manifest()) {
    manifest_fetch_.on_tick(sources_.coordinator_window());
  } else if (member_epoch()) {
    delivery_.on_tick(*manifest_);
    carry_on();
  }
  // Last, since it may end the session.
  greeting_.on_tick();
}

TimePoint PoolSession::next_tick() const {
  TimePoint next = greeting_.next_tick();
  if (fetching_manifest()) {
    return std::min(next, manifest_fetch_.next_tick(sources_.coordinator_window()));
  }
  if (!member_epoch()) return next;
  if (std::optional<TimePoint> due = delivery_.next_tick()) next = std::min(next, *due);
  if (std::optional<TimePoint> due = sources_.next_tick()) next = std::min(next, *due);
  if (std::optional<TimePoint> due = health_.next_tick()) next = std::min(next, *due);
  return next;
}

void PoolSession::excuse_silence() {
  link_.heard();
  sources_.excuse_silence();
}

void PoolSession::excuse_absence() {
  excuse_silence();
  greeting_.excuse_absence();
}

// --- work ---

Duration PoolSession::work(Duration budget) {
  // Other workers are served slowly while a pool computes here.
  context_.server.work_seen(link_.now());
  if (const Compute* next = answering_.next()) {
    // Judged when its turn comes: the epoch may have changed while it waited.
    bool current = greeting_.is_current(next->work.epoch);
    answering_.begin(current, manifest_.get(), delivery_.units());
  }
  if (!answering_.computing()) return Duration::zero();
  return answering_.compute(budget, *manifest_, delivery_);
}

void PoolSession::answer() {
  answering_.answer();
  request_grains();
  report();
}

// --- for the worker as a whole ---

void PoolSession::leave(const std::string& reason) {
  if (greeting_.welcome()) link_.send(Goodbye{greeting_.epoch(), reason});
  link_.leave();
}

void PoolSession::leave_gently(const std::string& reason) {
  if (greeting_.leaving()) return;
  const bool member = member_epoch() || greeting_.was_member_lately();
  if (member && units().ready_count() > 0) {
    greeting_.leave_gently();
  } else {
    leave(reason);
  }
}

void PoolSession::refuse_memory(uint64_t cache_bytes) {
  std::string reason =
      fmt::format("this worker's part of --ram is {} bytes, and one grain of {} takes up to {}",
                  cache_bytes, manifest_->model_name(), manifest_->largest_grain_bytes());
  link_.send(Goodbye{greeting_.epoch(), reason});
  link_.end(reason);
}

void PoolSession::set_shares(uint64_t cache_bytes, uint64_t window_bytes) {
  sources_.set_window(window_bytes);
  answering_.set_cache(cache_bytes);
}

PoolSession::Changes PoolSession::take_changes() {
  return {sources_.take_links_changed(), std::exchange(memory_changed_, false)};
}

std::optional<Digest> PoolSession::manifest_name() const {
  if (!greeting_.welcome()) return std::nullopt;
  return greeting_.welcome()->manifest;
}

uint64_t PoolSession::kept_bytes() const {
  return (manifest_ == nullptr ? 0 : manifest_->memory_bytes()) + units().memory_bytes();
}

MembershipStatus PoolSession::status() const {
  MembershipStatus status;
  status.coordinator = coordinator();
  status.phase = greeting_.leaving()     ? "leaving"
                 : greeting_.joining()   ? "joining"
                 : !greeting_.welcomed() ? "greeting"
                 : fetching_manifest()   ? "fetching manifest"
                                         : "member";
  status.units_assigned = static_cast<uint32_t>(units().assigned_count());
  status.units_ready = static_cast<uint32_t>(units().ready_count());
  sources_.describe(&status);
  answering_.describe(&status);
  return status;
}

Status PoolSession::validate() const {
  return member_epoch() ? sources_.validate() : Status{};
}

}  // namespace potluck
