// The door of a session: what comes in, when something is due, and how it ends.
#include "worker/pool_session.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace potluck {
namespace {

// Ready units are reported together: a store that fills sends a few messages a second.
constexpr Duration kReportInterval = std::chrono::milliseconds(50);

}  // namespace

PoolSession::PoolSession(const PoolAddress& address, WorkerContext& context)
    : address_(address), context_(context), peer_clock_(context.clock.now()) {}

void PoolSession::start() {
  start_asking();
  if (!address_.invitation) {
    go_to_endpoints();
    return;
  }
  phase_ = Phase::kJoining;
  context_.actions.emplace_back(
      ConnectChannel{address_.coordinator, Channel::kJoin, address_.invitation->join_endpoint});
  send_join_request();
}

void PoolSession::on_message(Channel channel, Message& message, ByteVector& tensor) {
  if (phase_ == Phase::kJoining) {
    if (channel == Channel::kJoin) on_join(message);
    return;
  }
  if (channel == Channel::kJoin) return;  // a late answer to a repeated question
  peer_clock_.heard(now());
  if (channel == Channel::kBulk) {
    const auto* data = std::get_if<BulkData>(&message);
    if (data != nullptr) on_bulk_data(kCoordinatorSource, *data, tensor);
    return;
  }
  if (auto* request = std::get_if<Compute>(&message)) {
    on_compute(std::move(*request), std::move(tensor));
  } else if (const auto* welcome = std::get_if<Welcome>(&message)) {
    on_welcome(*welcome);
  } else if (auto* assignment = std::get_if<Assignment>(&message)) {
    on_assignment(std::move(*assignment));
  } else if (const auto* roster = std::get_if<Roster>(&message)) {
    on_roster(*roster);
  } else if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    on_heartbeat(*heartbeat);
  } else if (const auto* refusal = std::get_if<Refusal>(&message)) {
    on_refusal(*refusal);
  } else if (const auto* goodbye = std::get_if<Goodbye>(&message)) {
    on_goodbye(*goodbye);
  }
}

void PoolSession::on_tick() {
  switch (phase_) {
    case Phase::kJoining:
      if (now() >= retry_at_) send_join_request();
      return;
    case Phase::kGreeting:
      greet();
      return;
    case Phase::kFetchingManifest:
      tick_manifest();
      break;
    case Phase::kMember:
      if (report_again_at_ && now() >= *report_again_at_) {
        report_again_at_.reset();
        units_.report_again();
      }
      units_.on_tick(now());
      look_for_room();
      tick_sources();
      request_grains();
      report_residency();
      break;
  }
  keep_alive();
}

TimePoint PoolSession::next_tick() const {
  if (phase_ == Phase::kJoining) return retry_at_;
  if (phase_ == Phase::kGreeting) return std::min(retry_at_, reconnect_at_);
  TimePoint next = peer_clock_.next_due();
  if (phase_ == Phase::kFetchingManifest) return std::min(next, manifest_due());
  if (std::optional<TimePoint> fetch = fetcher_.next_tick()) next = std::min(next, *fetch);
  if (std::optional<TimePoint> retry = units_.next_tick()) next = std::min(next, *retry);
  if (room_limited()) next = std::min(next, look_for_room_at_);
  if (report_again_at_) next = std::min(next, *report_again_at_);
  if (units_.report_due()) next = std::min(next, reported_at_ + kReportInterval);
  if (sources_changed_) next = std::min(next, sources_reported_at_ + kSourcesInterval);
  if (cuts_from_model()) next = now();
  return next;
}

void PoolSession::report_residency() {
  if (phase_ != Phase::kMember || !(units_.report_due() || room_changed_)) return;
  bool at_once = units_.all_ready() || units_.loss_unreported() || room_changed_;
  if (!at_once && now() < reported_at_ + kReportInterval) return;
  reported_at_ = now();
  while (units_.report_due() || room_changed_) {
    Residency report;
    report.epoch = welcome_->epoch;
    report.version = version_;
    report.room_bytes = room_bytes_;
    units_.take_report(&report);
    bool news = std::exchange(room_changed_, false);
    if (news || !report.ready.empty() || !report.lost.empty()) send(std::move(report));
  }
}

void PoolSession::excuse_silence() {
  peer_clock_.heard(now());
  fetcher_.excuse_silence(now());
}

void PoolSession::excuse_absence() {
  excuse_silence();
  asking_since_ = now();
}

void PoolSession::leave(const std::string& reason) {
  if (welcome_) send(Goodbye{welcome_->epoch, reason});
  context_.actions.emplace_back(DisconnectPeer{address_.coordinator});
  ended_ = true;
}

void PoolSession::end(const std::string& reason, bool tell, bool orderly) {
  if (tell) send(Goodbye{welcome_ ? welcome_->epoch : 0, reason});
  context_.actions.emplace_back(DisconnectPeer{address_.coordinator});
  context_.actions.emplace_back(Notice{address_.coordinator, reason, true, orderly});
  ended_ = true;
}

void PoolSession::send(Message message, Channel channel, ByteVector tensor) {
  if (channel == Channel::kCompute) peer_clock_.sent(now());
  context_.actions.emplace_back(
      SendMessage{address_.coordinator, channel, std::move(message), std::move(tensor)});
}

void PoolSession::notice(std::string text) {
  context_.actions.emplace_back(Notice{address_.coordinator, std::move(text)});
}

void PoolSession::set_shares(uint64_t cache_bytes, uint64_t window_bytes) {
  window_bytes_ = window_bytes;
  if (cache_bytes == cache_bytes_) return;
  cache_bytes_ = cache_bytes;
  source_.reset();
}

void PoolSession::refuse_memory(uint64_t cache_bytes) {
  end(fmt::format("this worker's part of --ram is {} bytes, and one grain of {} takes up to {}",
                  cache_bytes, manifest_->model_name(), manifest_->largest_grain_bytes()),
      true);
}

uint64_t PoolSession::resident_bytes() const {
  return source_ == nullptr ? 0 : source_->resident_bytes();
}

std::optional<Digest> PoolSession::manifest_name() const {
  if (!welcome_) return std::nullopt;
  return welcome_->manifest;
}

uint64_t PoolSession::kept_bytes() const {
  return (manifest_ == nullptr ? 0 : manifest_->memory_bytes()) + units_.memory_bytes();
}

MembershipStatus PoolSession::status() const {
  constexpr std::array kPhases = {"joining", "greeting", "fetching manifest", "member"};
  MembershipStatus status;
  status.coordinator = address_.coordinator;
  status.phase = kPhases[static_cast<size_t>(phase_)];
  status.units_assigned = static_cast<uint32_t>(units_.assigned_count());
  status.units_ready = static_cast<uint32_t>(units_.ready_count());
  status.bytes_fetched = bytes_fetched_;
  status.sources = source_bytes();
  status.rows_computed = rows_computed_;
  status.units_computed = units_computed_;
  return status;
}

}  // namespace potluck
