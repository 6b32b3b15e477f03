// What workers say of themselves: units, room, where experts came from, condition and speed. It is
// kept, shown, and has the consequences that it has for placement; it is one worker's word.
#include <algorithm>

#include <fmt/format.h>

#include "coordinator/cluster/membership.h"
#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "protocol/peer_text.h"
#include "protocol/report_limits.h"

namespace potluck {
namespace {

// Bytes per second that no device of the next years reads or multiplies with.
constexpr uint64_t kFastestDevice = uint64_t{1} << 44;

}  // namespace

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
  update_room(from, residency);
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
  release_drained();
}

void Membership::update_room(const PeerKey& from, const Residency& residency) {
  const uint64_t room_bytes = residency.room_bytes;
  const WorkerRecord& record = *state_.worker(from);
  if (record.room_bytes == room_bytes) return;
  bool less = room_bytes < std::min(record.room_bytes, record.disk_bytes);
  std::string reason = clean_text(residency.text, kReasonBytes);
  if (less && !room_changed_) {  // once for each time that units are placed
    notices_.add(
        fmt::format("{} has room for no more than {} at present{}{}: what it lacks goes elsewhere",
                    state_.describe(from), format_bytes(room_bytes), reason.empty() ? "" : ", ",
                    reason),
        LogLevel::kInfo, {{"worker", from.brief()}, {"room_bytes", room_bytes}});
  }
  state_.apply(RoomReported{from, room_bytes, std::move(reason)});
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
  WorkerHealth health{report.share, clean_text(report.text, kReasonBytes),
                      {},           report.on_battery,
                      {},           report.pause_seconds,
                      report.use};
  if (report.battery_percent <= 100) health.battery_percent = report.battery_percent;
  if (report.celsius != HealthReport::kNoThermometer) health.celsius = report.celsius;
  const WorkerHealth before = state_.worker(from)->health;
  const bool pauses = health.pauses();
  const bool changed = health.share != before.share || pauses != before.pauses() ||
                       health.on_battery != before.on_battery ||
                       health.use.cache_bytes != before.use.cache_bytes;
  if (pauses && !before.pauses() && health.share > 0) {
    notices_.add(fmt::format("{} will pause in {} s: {}", state_.describe(from),
                             health.pause_seconds, health.reason),
                 LogLevel::kInfo,
                 {{"worker", from.brief()}, {"seconds", int64_t{health.pause_seconds}}});
  } else if (health.share != before.share) {
    notices_.add(fmt::format("{} lends {} % of its speed{}{}", state_.describe(from), health.share,
                             health.reason.empty() ? "" : ": ", health.reason),
                 LogLevel::kInfo, {{"worker", from.brief()}, {"share", int64_t{health.share}}});
  }
  state_.apply(HealthReported{from, std::move(health)});
  if (changed) shares_.workers_changed(clock_.now());
  // One that is to pause hands over what it holds, before it does, and gets its part back later.
  if (pauses != before.pauses()) rebalance();
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

}  // namespace potluck
