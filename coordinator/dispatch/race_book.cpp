#include "coordinator/dispatch/race_book.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/base/check.h"
#include "protocol/codec.h"
#include "protocol/packed_sums.h"

namespace potluck {
namespace {

constexpr int64_t kAnySum = std::numeric_limits<int64_t>::max();

// visit(row of the reply, row of the piece), for each.
template <class Visit>
void visit_claimed_rows(std::span<const RowCall> calls, const Visit& visit) {
  size_t reply_row = 0;
  for (size_t i = 0; i < calls.size(); i = end_of_row(calls, i)) visit(reply_row++, calls[i].row);
}

void add_claim(const Claim& claim, ExpertSums* to) {
  size_t hidden = to->sums.size() / to->flags.size();
  std::vector<int64_t> said(claim.flags.size() * hidden, 0);
  // They passed when they came: nothing can fail here.
  if (!add_packed_sums(claim.packed, kAnySum, said)) return;
  visit_claimed_rows(claim.calls, [&](size_t reply_row, uint32_t row) {
    for (size_t i = 0; i < hidden; ++i) {
      uint64_t sum = static_cast<uint64_t>(to->sums[row * hidden + i]) +
                     static_cast<uint64_t>(said[reply_row * hidden + i]);
      to->sums[row * hidden + i] = static_cast<int64_t>(sum);
    }
    if (claim.flags[reply_row] != 0) to->flags[row] = 1;
  });
}

std::vector<bool> rows_named(const Race& race, const Side& side) {
  std::vector<bool> named(race.input.rows.size(), false);
  for (const Claim& claim : side.claims) {
    for (const RowCall& call : claim.calls) named[call.row] = true;
  }
  return named;
}

bool same_row(const ExpertSums& a, const ExpertSums& b, size_t row) {
  auto hidden = static_cast<ptrdiff_t>(a.sums.size() / a.flags.size());
  auto from = a.sums.begin() + static_cast<ptrdiff_t>(row) * hidden;
  return a.flags[row] == b.flags[row] &&
         std::equal(from, from + hidden, b.sums.begin() + static_cast<ptrdiff_t>(row) * hidden);
}

ExpertSums empty_sums(const Race& race) {
  ExpertSums sums;
  sums.reset(static_cast<uint32_t>(race.input.rows.size()), race.batch.input.columns);
  return sums;
}

}  // namespace

PieceInput PieceInput::copy_of(const ExpertBatch& batch, std::span<const RowCall> calls) {
  PieceInput input;
  input.layer = batch.layer;
  for (size_t i = 0; i < calls.size(); i = end_of_row(calls, i)) {
    input.rows.push_back(calls[i].row);
    input.fraction_bits.push_back(batch.fraction_bits[calls[i].row]);
  }
  ByteVector packed = pack_activations(batch.input, input.rows);
  Status unpacked =
      unpack_activations(packed, batch.input.form, static_cast<uint32_t>(input.rows.size()),
                         batch.input.columns, &input.activations);
  CHECK(unpacked.ok());
  return input;
}

ExpertBatch PieceInput::batch() const {
  ExpertBatch view;
  view.layer = layer;
  view.input = activations.view();
  view.fraction_bits = fraction_bits;
  return view;
}

RowCalls PieceInput::renamed(std::span<const RowCall> calls) const {
  RowCalls own(calls.begin(), calls.end());
  for (RowCall& call : own) {
    auto place = std::lower_bound(rows.begin(), rows.end(), call.row);
    call.row = static_cast<uint32_t>(place - rows.begin());
  }
  return own;
}

size_t Race::count(SideState state, bool whole_only) const {
  return static_cast<size_t>(std::ranges::count_if(
      sides, [&](const Side& side) { return side.state == state && (side.whole || !whole_only); }));
}

std::optional<size_t> Race::complete_whole_side() const {
  for (size_t i = 0; i < sides.size(); ++i) {
    if (sides[i].state == SideState::kComplete && sides[i].whole) return i;
  }
  return std::nullopt;
}

ExpertSums sums_of(const Race& race, const Side& side) {
  ExpertSums sums = empty_sums(race);
  for (const Claim& claim : side.claims) add_claim(claim, &sums);
  return sums;
}

std::vector<uint32_t> differing_rows(const Race& race, const Side& a, const Side& b) {
  ExpertSums said_a = sums_of(race, a);
  ExpertSums said_b = sums_of(race, b);
  std::vector<bool> by_a = rows_named(race, a);
  std::vector<bool> by_b = rows_named(race, b);
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < by_a.size(); ++row) {
    if (by_a[row] && by_b[row] && !same_row(said_a, said_b, row)) rows.push_back(row);
  }
  return rows;
}

bool claim_is_true(const Race& race, const OwnCheck& check, const OwnCheck::Job& job) {
  ExpertSums said = empty_sums(race);
  const Claim& claim = race.sides[job.side].claims[job.claim];
  add_claim(claim, &said);
  std::vector<bool> named(race.input.rows.size(), false);
  for (const RowCall& call : claim.calls) named[call.row] = true;
  return std::ranges::all_of(
      check.rows, [&](uint32_t row) { return !named[row] || same_row(said, job.truth, row); });
}

uint64_t RaceBook::open(Race race) {
  auto [entry, fresh] = races_.emplace(next_++, std::move(race));
  // Points into the entry, which does not move.
  entry->second.batch = entry->second.input.batch();
  return entry->first;
}

Race* RaceBook::find(uint64_t number) {
  auto found = races_.find(number);
  return found == races_.end() ? nullptr : &found->second;
}

// There are few at a time, so they are counted when it matters.
uint64_t RaceBook::bytes() const {
  uint64_t bytes = 0;
  for (const auto& [number, race] : races_) {
    const ExpertBatch& batch = race.batch;
    bytes += race.input.rows.size() * activation_wire_bytes(batch.input.form, batch.input.columns);
    for (const Side& side : race.sides) {
      for (const Claim& claim : side.claims) bytes += claim.packed.size();
    }
  }
  return bytes;
}

}  // namespace potluck
