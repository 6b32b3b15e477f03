// What the dispatcher makes of answers: which piece they belong to, whether they can be true, and
// how they enter the sums.
#include <algorithm>

#include <fmt/format.h>

#include "coordinator/dispatch/dispatcher.h"
#include "engine/kernels/kernels.h"
#include "protocol/codec.h"
#include "protocol/partial_sums.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr size_t kTextBytes = 256;  // of a worker's explanation, in a notice

// The chunks of one slice of an expert: so many addends it puts into each sum.
uint32_t slice_chunks(const ChunkPlan& plan, uint32_t slice, uint32_t slices) {
  GrainRange grains = slice_grains(plan.grains, slice, slices);
  uint32_t first = grains.first * plan.chunks_per_grain;
  uint32_t end = (grains.first + grains.count) * plan.chunks_per_grain;
  return std::min(end, plan.chunks) - std::min(first, plan.chunks);
}

// Two's complement: a sum beyond 64 bits wraps, alike in every order.
void add_row(std::span<const int64_t> from, std::span<int64_t> to) {
  for (size_t i = 0; i < from.size(); ++i) {
    to[i] = static_cast<int64_t>(static_cast<uint64_t>(to[i]) + static_cast<uint64_t>(from[i]));
  }
}

}  // namespace

void Dispatcher::on_partial(const PeerKey& from, const Partial& partial, ByteSpan tensor) {
  heard_from(from);
  std::optional<size_t> index = find_piece(partial.work.request);
  if (!index) {
    late_reply(from, partial.work.request);
    return;
  }
  const Piece& piece = pieces_[*index];
  if (piece.worker == from && piece.work == partial.work) {
    on_answer(*index, partial, tensor);
    return;
  }
  // Whoever was asked may still answer; if not, the deadline will tell.
  ++statistics_.bad_replies;
  notices_.add(
      fmt::format("{} answered request {} of layer {} (epoch {}, attempt {}), which it "
                  "was not asked",
                  cluster_.describe(from), partial.work.request, partial.work.layer,
                  partial.work.epoch, partial.work.attempt));
}

std::optional<size_t> Dispatcher::find_piece(uint64_t request) const {
  for (size_t i = 0; i < pieces_.size(); ++i) {
    if (pieces_[i].work.request == request) return i;
  }
  return std::nullopt;
}

void Dispatcher::late_reply(const PeerKey& from, uint64_t request) {
  ++statistics_.late_replies;
  auto found = std::find_if(abandoned_.begin(), abandoned_.end(), [&](const Abandoned& piece) {
    return piece.request == request && piece.worker == from;
  });
  if (found == abandoned_.end()) return;
  if (auto lane = lanes_.find(from); lane != lanes_.end()) {
    lane->second.track.measured(clock_.now(), found->asked);
    lane->second.track.answered_late();
  }
  abandoned_.erase(found);
}

void Dispatcher::on_answer(size_t index, const Partial& partial, ByteSpan tensor) {
  PeerKey worker = pieces_[index].worker;
  if (partial.status == PartialStatus::kMissing && names_unit_of(pieces_[index], partial.lost)) {
    lost_units_.emplace_back(worker, partial.lost);
    give_away(index);
  } else if (Status accepted = timed_accept(pieces_[index], partial, tensor); !accepted) {
    ++statistics_.bad_replies;
    lane_of(worker).track.answered_badly(clock_.now());
    notices_.add(fmt::format("{} answered badly, its work goes to others: {}",
                             cluster_.describe(worker), accepted.error().message));
    give_away(index);
  } else {
    take_answer(index, partial);
  }
  settle_lane(worker);
}

Status Dispatcher::timed_accept(const Piece& piece, const Partial& partial, ByteSpan tensor) {
  TimePoint start = clock_.now();
  Status accepted = accept(piece, partial, tensor);
  statistics_.gather += nanoseconds(clock_.now() - start);
  return accepted;
}

// Only good answers say how fast a worker computes: a refusal takes no time.
void Dispatcher::take_answer(size_t index, const Partial& partial) {
  const Piece& piece = pieces_[index];
  WorkerTrack& track = lane_of(piece.worker).track;
  track.measured(clock_.now(), piece.asked);
  track.answered_well();
  statistics_.remote_unit_calls += piece.calls.size();
  statistics_.work += partial.timings;
  if (partial.timings.cache_misses > 0 || partial.timings.guesses_used > 0) {
    last_disk_batch_ = statistics_.batches;
  }
  uint64_t& slowest = tickets_.at(piece.ticket).slowest_compute;
  slowest = std::max(slowest, partial.timings.compute);
  recycle(take_piece(index).calls);
}

bool Dispatcher::names_unit_of(const Piece& piece, const std::vector<UnitId>& units) {
  return std::any_of(units.begin(), units.end(), [&](UnitId unit) {
    return unit.layer == piece.work.layer &&
           std::any_of(piece.calls.begin(), piece.calls.end(), [&](const Call& call) {
             return call.expert == unit.expert && call.slice == unit.slice;
           });
  });
}

// Checks everything before the answer is touched.
Status Dispatcher::accept(const Piece& piece, const Partial& partial, ByteSpan tensor) {
  if (partial.status != PartialStatus::kOk) {
    return Error{ErrorCode::kRefused, fmt::format("status {}: {}", static_cast<int>(partial.status),
                                                  clean_text(partial.text, kTextBytes))};
  }
  if (partial.row_flags.size() != piece.rows) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("expected {} rows, found {}", piece.rows, partial.row_flags.size())};
  }
  if (checksum_of(partial.work, partial.row_flags, tensor) != partial.checksum) {
    return Error{ErrorCode::kCorrupt, "the checksum does not match"};
  }
  return add_to_answer(piece, partial, tensor);
}

// add_packed_sums() checks the whole frame before it touches a sum. Rows that stand side by side in
// the batch (always so when there is one) take the values straight from the frame.
Status Dispatcher::add_to_answer(const Piece& piece, const Partial& partial, ByteSpan tensor) {
  const Ticket& ticket = tickets_.at(piece.ticket);
  size_t hidden = ticket.batch->input.columns;
  std::span<int64_t> answer(ticket.out->sums);
  uint32_t first = piece.calls.front().row;
  bool side_by_side = piece.calls.back().row - first + 1 == piece.rows;
  if (!side_by_side) sums_.assign(piece.rows * hidden, 0);
  std::span<int64_t> into =
      side_by_side ? answer.subspan(first * hidden, piece.rows * hidden) : std::span(sums_);
  if (Status added = add_packed_sums(tensor, largest_honest_sum(piece), into); !added) return added;
  uint32_t reply_row = 0;
  for (size_t i = 0; i < piece.calls.size(); ++i) {
    uint32_t row = piece.calls[i].row;
    if (i > 0 && row == piece.calls[i - 1].row) continue;
    if (!side_by_side) {
      add_row(into.subspan(reply_row * hidden, hidden), answer.subspan(row * hidden, hidden));
    }
    if (partial.row_flags[reply_row] != 0) ticket.out->flags[row] = 1;
    ++reply_row;
  }
  return {};
}

// No sum of honest addends is larger in magnitude.
int64_t Dispatcher::largest_honest_sum(const Piece& piece) const {
  const ChunkPlan& plan = manifest_.layer(piece.work.layer)->plan;
  int64_t most = 0;
  int64_t chunks = 0;
  for (size_t i = 0; i < piece.calls.size(); ++i) {
    if (i > 0 && piece.calls[i].row != piece.calls[i - 1].row) chunks = 0;
    chunks += slice_chunks(plan, piece.calls[i].slice, slices_);
    most = std::max(most, chunks);
  }
  constexpr int64_t kCeiling = (int64_t{1} << 62) - 1;
  return most > kCeiling / kAddendLimit ? kCeiling : most * kAddendLimit;
}

}  // namespace potluck
