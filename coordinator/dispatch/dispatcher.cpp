#include "coordinator/dispatch/dispatcher.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

// After this many holders have failed a piece, the coordinator computes it: an end is certain.
constexpr uint32_t kAttempts = 4;
// Late answers are looked up among this many pieces that were given away lately.
constexpr size_t kAbandonedKept = 256;
// Calls handed out for local computation at once (whole experts, at least one): messages are
// handled in between.
constexpr size_t kLocalCallsAtOnce = 256;
// So many batches after a worker last read its disk, its experts count as all in memory.
constexpr uint64_t kDiskBatches = 256;
// Call lists kept for reuse: one per worker and group of sessions in flight.
constexpr size_t kSpareLists = 64;

}  // namespace

Dispatcher::Dispatcher(uint64_t epoch, uint32_t slices, const Manifest& manifest,
                       const ClusterState& cluster, const Clock& clock)
    : epoch_(epoch), slices_(slices), manifest_(manifest), cluster_(cluster), clock_(clock) {
  CHECK(slices > 0 && slices <= limits::kSlices);
}

uint64_t Dispatcher::submit(const ExpertBatch& batch, ExpertSums* out) {
  out->reset(batch.tokens(), layer_of(batch).shape.hidden);
  uint64_t ticket = next_ticket_++;
  Ticket& entry = tickets_[ticket];
  entry.batch = &batch;
  entry.out = out;
  entry.local = spare_calls();
  forecast_units(batch);
  collect_calls(batch);
  distribute(ticket, 0, calls_, nullptr);
  forecast_.clear();
  if (entry.pieces + entry.waiting > 0) ++statistics_.batches;
  return ticket;
}

const ManifestLayer& Dispatcher::layer_of(const ExpertBatch& batch) const {
  const ManifestLayer* layer = manifest_.layer(batch.layer);
  CHECK(layer != nullptr && batch.input.columns == layer->shape.hidden);
  return *layer;
}

void Dispatcher::collect_calls(const ExpertBatch& batch) {
  const ManifestLayer& layer = layer_of(batch);
  calls_.clear();
  for (uint32_t row = 0; row < batch.tokens(); ++row) {
    for (uint32_t k = 0; k < batch.top_k; ++k) {
      uint32_t expert = batch.experts[size_t{row} * batch.top_k + k];
      float weight = batch.weights[size_t{row} * batch.top_k + k];
      CHECK(expert < layer.experts);
      for (uint32_t slice = 0; slice < slices_; ++slice) {
        // With more slices than grains, some are empty.
        if (slice_grains(layer.plan.grains, slice, slices_).count == 0) continue;
        calls_.push_back(
            {row, static_cast<uint16_t>(expert), static_cast<uint16_t>(slice), weight});
      }
    }
  }
}

// Chooses holders as the next batch will, should it be as forecast.
void Dispatcher::forecast_units(const ExpertBatch& batch) {
  const ManifestLayer* next = batch.forecast.empty() ? nullptr : manifest_.layer(batch.layer + 1);
  if (next == nullptr) return;
  calls_.clear();
  for (uint32_t expert : batch.forecast) {
    CHECK(expert < next->experts);
    for (uint32_t slice = 0; slice < slices_; ++slice) {
      if (slice_grains(next->plan.grains, slice, slices_).count == 0) continue;
      calls_.push_back({0, static_cast<uint16_t>(expert), static_cast<uint16_t>(slice), 0});
    }
  }
  choose_holders(next->layer, calls_, nullptr);
  for (uint32_t unit : touched_) {
    if (unit_group_[unit] < 0) continue;
    forecast_.emplace_back(
        groups_[static_cast<size_t>(unit_group_[unit])].worker,
        UnitId{static_cast<uint16_t>(next->layer), static_cast<uint16_t>(unit / slices_),
               static_cast<uint16_t>(unit % slices_)});
  }
}

// Gives the calls to holders of their units; what nobody can take becomes local work.
void Dispatcher::distribute(uint64_t ticket, uint32_t attempt, const Calls& calls,
                            const PeerKey* except) {
  Ticket& entry = tickets_.at(ticket);
  if (attempt >= kAttempts) {
    entry.local.insert(entry.local.end(), calls.begin(), calls.end());
    entry.local_sorted = false;
    return;
  }
  choose_holders(entry.batch->layer, calls, except);
  for (const Call& call : calls) {
    int32_t group = unit_group_[size_t{call.expert} * slices_ + call.slice];
    if (group >= 0) {
      groups_[static_cast<size_t>(group)].calls.push_back(call);
    } else {
      entry.local.push_back(call);
      entry.local_sorted = false;
    }
  }
  for (size_t i = 0; i < groups_used_; ++i) {
    if (!groups_[i].calls.empty()) ask(groups_[i], ticket, attempt);
  }
}

// One holder for all rows of a unit, so that it is read once.
void Dispatcher::choose_holders(uint32_t layer, const Calls& calls, const PeerKey* except) {
  groups_used_ = 0;
  touched_.clear();
  size_t units = size_t{manifest_.layer(layer)->experts} * slices_;
  if (unit_calls_.size() < units) {
    unit_calls_.resize(units, 0);
    unit_group_.resize(units, -1);
  }
  for (const Call& call : calls) {
    size_t unit = size_t{call.expert} * slices_ + call.slice;
    if (unit_calls_[unit]++ == 0) touched_.push_back(static_cast<uint32_t>(unit));
  }
  for (uint32_t unit : touched_) {
    UnitId id{static_cast<uint16_t>(layer), static_cast<uint16_t>(unit / slices_),
              static_cast<uint16_t>(unit % slices_)};
    unit_group_[unit] = choose_holder(id, unit_calls_[unit], except);
    unit_calls_[unit] = 0;
  }
}

// The usable holder with the fewest calls so far; the first of them, which has the lowest number.
int32_t Dispatcher::choose_holder(UnitId unit, uint32_t calls, const PeerKey* except) {
  int32_t best = -1;
  for (const PeerKey& holder : cluster_.holders(unit)) {
    if (except != nullptr && holder == *except) continue;
    size_t group = group_of(holder);
    if (!groups_[group].usable) continue;
    if (best >= 0 && groups_[group].load >= groups_[static_cast<size_t>(best)].load) continue;
    best = static_cast<int32_t>(group);
  }
  if (best >= 0) groups_[static_cast<size_t>(best)].load += calls;
  return best;
}

size_t Dispatcher::group_of(const PeerKey& worker) {
  for (size_t i = 0; i < groups_used_; ++i) {
    if (groups_[i].worker == worker) return i;
  }
  if (groups_used_ == groups_.size()) groups_.emplace_back();
  Group& group = groups_[groups_used_];
  group.worker = worker;
  group.usable = lane_of(worker).track.usable(clock_.now());
  group.load = 0;
  group.calls.clear();
  return groups_used_++;
}

void Dispatcher::heard_from(const PeerKey& worker) {
  auto lane = lanes_.find(worker);
  if (lane != lanes_.end()) lane->second.track.heard();
}

void Dispatcher::on_worker_lost(const PeerKey& worker) {
  std::erase_if(outgoing_, [&](const Outgoing& message) { return message.peer == worker; });
  for (size_t i = 0; i < pieces_.size();) {
    if (pieces_[i].worker != worker) {
      ++i;
      continue;
    }
    give_away(i);  // the last piece takes its place: look at i again
  }
  auto lane = lanes_.find(worker);
  if (lane != lanes_.end()) give_waiting_away(worker, lane->second);
  forget_lanes();
}

void Dispatcher::on_tick() {
  TimePoint now = clock_.now();
  for (size_t i = 0; i < pieces_.size();) {
    if (pieces_[i].deadline > now) {
      ++i;
      continue;
    }
    PeerKey worker = pieces_[i].worker;
    lane_of(worker).track.missed_deadline(now);
    notices_.add(fmt::format(
        "{} did not answer within {:.1f} s, its work goes to others", cluster_.describe(worker),
        std::chrono::duration<double>(now - pieces_[i].asked.sent_at).count()));
    give_away(i);
    settle_lane(worker);
  }
}

Dispatcher::Piece Dispatcher::take_piece(size_t index) {
  Piece piece = std::move(pieces_[index]);
  if (index + 1 < pieces_.size()) pieces_[index] = std::move(pieces_.back());
  pieces_.pop_back();
  --tickets_.at(piece.ticket).pieces;
  lane_of(piece.worker).track.settled(piece.asked);
  return piece;
}

void Dispatcher::give_away(size_t index) {
  Piece piece = take_piece(index);
  ++statistics_.retries;
  abandoned_.push_back({piece.work.request, piece.worker, piece.asked});
  if (abandoned_.size() > kAbandonedKept) abandoned_.pop_front();
  distribute(piece.ticket, piece.work.attempt + 1, piece.calls, &piece.worker);
  recycle(std::move(piece.calls));
}

bool Dispatcher::done(uint64_t ticket) const {
  const Ticket& entry = tickets_.at(ticket);
  return entry.pieces == 0 && entry.waiting == 0 && entry.local.empty() && entry.local_running == 0;
}

void Dispatcher::forget(uint64_t ticket) {
  for (size_t i = 0; i < pieces_.size();) {
    if (pieces_[i].ticket == ticket) {
      recycle(take_piece(i).calls);
    } else {
      ++i;
    }
  }
  for (auto& [worker, lane] : lanes_) {
    std::erase_if(lane.waiting, [&](const Waiting& next) { return next.ticket == ticket; });
  }
  auto entry = tickets_.find(ticket);
  CHECK(entry != tickets_.end());
  statistics_.slowest_compute += entry->second.slowest_compute;
  recycle(std::move(entry->second.local));
  tickets_.erase(entry);
  // What waits behind it is next.
  for (auto& [worker, lane] : lanes_) settle_lane(worker);
}

std::vector<Outgoing> Dispatcher::take_outgoing() {
  return std::exchange(outgoing_, {});
}

std::optional<LocalWork> Dispatcher::take_local_work() {
  auto found = std::find_if(tickets_.begin(), tickets_.end(),
                            [](const auto& entry) { return !entry.second.local.empty(); });
  if (found == tickets_.end()) return std::nullopt;
  Ticket& ticket = found->second;
  Calls& local = ticket.local;
  if (!ticket.local_sorted) {
    // Backwards, because work is taken from the end.
    std::sort(local.begin(), local.end(), [](const Call& a, const Call& b) {
      return std::tie(a.expert, a.row, a.slice) > std::tie(b.expert, b.row, b.slice);
    });
    ticket.local_sorted = true;
  }
  LocalWork work{found->first, ticket.batch, ticket.out, {}};
  const ChunkPlan& plan = manifest_.layer(ticket.batch->layer)->plan;
  uint32_t expert = local.back().expert;
  while (!local.empty() &&
         (local.back().expert == expert || work.calls.size() < kLocalCallsAtOnce)) {
    Call call = local.back();
    local.pop_back();
    expert = call.expert;
    ++statistics_.local_unit_calls;
    GrainRange grains = slice_grains(plan.grains, call.slice, slices_);
    ExpertCall* last = work.calls.empty() ? nullptr : &work.calls.back();
    // Slices that stand side by side are one range of grains.
    if (last != nullptr && last->row == call.row && last->expert == call.expert &&
        last->grains.first + last->grains.count == grains.first) {
      last->grains.count += grains.count;
    } else {
      work.calls.push_back({call.row, call.expert, grains, call.weight});
    }
  }
  ++ticket.local_running;
  return work;
}

void Dispatcher::local_done(uint64_t ticket) {
  Ticket& entry = tickets_.at(ticket);
  CHECK(entry.local_running > 0);
  --entry.local_running;
}

std::vector<PeerKey> Dispatcher::waiting_for() const {
  TimePoint now = clock_.now();
  std::vector<PeerKey> workers;
  for (const Piece& piece : pieces_) {
    if (now - piece.asked.sent_at < kWaitingAfter) continue;
    if (std::find(workers.begin(), workers.end(), piece.worker) == workers.end()) {
      workers.push_back(piece.worker);
    }
  }
  return workers;
}

std::vector<std::pair<PeerKey, std::vector<UnitId>>> Dispatcher::take_lost_units() {
  return std::exchange(lost_units_, {});
}

bool Dispatcher::disks_in_use() const {
  return last_disk_batch_ && statistics_.batches - *last_disk_batch_ < kDiskBatches;
}

std::optional<TimePoint> Dispatcher::next_deadline() const {
  std::optional<TimePoint> next;
  for (const Piece& piece : pieces_) {
    if (!next || piece.deadline < *next) next = piece.deadline;
  }
  return next;
}

Dispatcher::Calls Dispatcher::spare_calls() {
  if (spare_.empty()) return {};
  Calls calls = std::move(spare_.back());
  spare_.pop_back();
  return calls;
}

void Dispatcher::recycle(Calls calls) {
  calls.clear();
  if (spare_.size() < kSpareLists) spare_.push_back(std::move(calls));
}

}  // namespace potluck
