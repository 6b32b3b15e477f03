// What a worker is asked, and when: a batch's calls wait in the worker's lane and are sent in
// messages that suit its speed, the next one when it owes less.
#include <algorithm>

#include "coordinator/dispatch/dispatcher.h"
#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "protocol/codec.h"
#include "protocol/partial_sums.h"

namespace potluck {
namespace {

// Workers that are remembered; beyond that those that have left are forgotten first.
constexpr size_t kLanesKept = 4 * size_t{limits::kWorkers};

// Rows of a batch whose activations, and whose sums were nothing saved by packing, fit a message.
uint32_t fitting_rows(const ActivationView& input) {
  uint64_t request = activation_wire_bytes(input.form, input.columns);
  uint64_t reply = largest_packed_bytes(input.columns);
  uint64_t rows = limits::kTensorBytes / std::max(request, reply);
  return static_cast<uint32_t>(std::clamp<uint64_t>(rows, 1, limits::kRowsPerMessage));
}

// The end of the row that begins at `begin`; the calls are grouped by row.
template <class Calls>
size_t end_of_row(const Calls& calls, size_t begin) {
  size_t end = begin;
  while (end < calls.size() && calls[end].row == calls[begin].row) ++end;
  return end;
}

}  // namespace

Dispatcher::Lane& Dispatcher::lane_of(const PeerKey& worker) {
  return lanes_[worker];
}

void Dispatcher::ask(Group& group, uint64_t ticket, uint32_t attempt) {
  Waiting& next = lane_of(group.worker).waiting.emplace_back();
  next.ticket = ticket;
  next.attempt = attempt;
  next.calls = spare_calls();
  std::swap(next.calls, group.calls);
  for (size_t i = 0; i < next.calls.size(); i = end_of_row(next.calls, i)) ++next.rows;
  ++tickets_.at(ticket).waiting;
  settle_lane(group.worker);
}

// Sends what the worker can take now. One that is not trusted with work any more loses what waits
// for it; otherwise, if something still waits, the worker owes an answer that has a deadline.
void Dispatcher::settle_lane(const PeerKey& worker) {
  Lane& lane = lane_of(worker);
  if (lane.waiting.empty()) return;
  if (!lane.track.usable(clock_.now())) {
    give_waiting_away(worker, lane);
    return;
  }
  while (!lane.waiting.empty() && send_next(worker, lane)) {
  }
}

bool Dispatcher::send_next(const PeerKey& worker, Lane& lane) {
  Waiting& next = lane.waiting.front();
  const ExpertBatch& batch = *tickets_.at(next.ticket).batch;
  uint32_t rows = rows_of_next(lane, next);
  uint64_t row_bytes = activation_wire_bytes(batch.input.form, batch.input.columns);
  if (!lane.track.takes_more(rows, rows * row_bytes)) return false;
  Piece piece;
  piece.work = {epoch_, next_request_++, batch.layer, next.attempt};
  piece.worker = worker;
  piece.ticket = next.ticket;
  piece.calls = cut(next, &rows);
  piece.rows = rows;
  if (next.rows == 0) {
    --tickets_.at(next.ticket).waiting;
    recycle(std::move(next.calls));
    lane.waiting.pop_front();
  }
  send_piece(std::move(piece), lane);
  return true;
}

// Messages of one batch are about as long as one another.
uint32_t Dispatcher::rows_of_next(const Lane& lane, const Waiting& next) const {
  const ExpertBatch& batch = *tickets_.at(next.ticket).batch;
  uint32_t most = std::min(fitting_rows(batch.input), lane.track.rows_per_message());
  return ceil_div(next.rows, ceil_div(next.rows, most));
}

// Takes so many rows from the front, or fewer if their calls are too many for a message. A row is
// never cut.
Dispatcher::Calls Dispatcher::cut(Waiting& next, uint32_t* rows) {
  if (*rows == next.rows && next.begin == 0 && next.calls.size() <= limits::kCallsPerMessage) {
    next.rows = 0;
    return std::exchange(next.calls, {});
  }
  size_t end = next.begin;
  uint32_t taken = 0;
  while (taken < *rows) {
    size_t row_end = end_of_row(next.calls, end);
    if (taken > 0 && row_end - next.begin > limits::kCallsPerMessage) break;
    end = row_end;
    ++taken;
  }
  Calls calls = spare_calls();
  calls.assign(next.calls.begin() + static_cast<ptrdiff_t>(next.begin),
               next.calls.begin() + static_cast<ptrdiff_t>(end));
  next.begin = end;
  next.rows -= taken;
  *rows = taken;
  return calls;
}

void Dispatcher::send_piece(Piece piece, Lane& lane) {
  Ticket& ticket = tickets_.at(piece.ticket);
  const ExpertBatch& batch = *ticket.batch;
  Compute compute;
  compute.work = piece.work;
  compute.slices = slices_;
  compute.form = batch.input.form;
  compute.columns = batch.input.columns;
  compute.rows.reserve(piece.rows);
  for (const auto& [worker, unit] : forecast_) {
    if (worker == piece.worker) compute.predicted.push_back(unit);
  }
  std::vector<uint32_t> rows;
  rows.reserve(piece.rows);
  for (size_t begin = 0; begin < piece.calls.size();) {
    uint32_t row = piece.calls[begin].row;
    size_t end = end_of_row(piece.calls, begin);
    ComputeRow& out = compute.rows.emplace_back();
    out.fraction_bits = batch.fraction_bits[row];
    out.calls.reserve(end - begin);
    for (; begin < end; ++begin) {
      const Call& call = piece.calls[begin];
      out.calls.push_back({call.expert, call.slice, call.weight});
    }
    rows.push_back(row);
  }
  ByteVector tensor = pack_activations(batch.input, rows);
  TimePoint now = clock_.now();
  piece.deadline = now + lane.track.deadline(piece.rows);
  piece.asked = lane.track.asked(now, piece.rows, tensor.size());
  outgoing_.push_back({piece.worker, Channel::kCompute, std::move(compute), std::move(tensor)});
  ++ticket.pieces;
  ++statistics_.messages;
  pieces_.push_back(std::move(piece));
}

void Dispatcher::give_waiting_away(const PeerKey& worker, Lane& lane) {
  if (lane.waiting.empty()) return;
  for (Waiting& next : std::exchange(lane.waiting, {})) {
    ++statistics_.retries;
    --tickets_.at(next.ticket).waiting;
    next.calls.erase(next.calls.begin(), next.calls.begin() + static_cast<ptrdiff_t>(next.begin));
    distribute(next.ticket, next.attempt + 1, next.calls, &worker);
    recycle(std::move(next.calls));
  }
}

// Bounded, for keys come and go; a rest that was earned is kept as long as there is room.
void Dispatcher::forget_lanes() {
  auto forget = [&](bool resting_too) {
    for (auto lane = lanes_.begin(); lane != lanes_.end() && lanes_.size() > kLanesKept;) {
      bool gone = cluster_.worker(lane->first) == nullptr && lane->second.waiting.empty() &&
                  lane->second.track.owes_nothing();
      bool forgotten = gone && (resting_too || lane->second.track.usable(clock_.now()));
      lane = forgotten ? lanes_.erase(lane) : std::next(lane);
    }
  };
  forget(false);
  forget(true);
}

}  // namespace potluck
