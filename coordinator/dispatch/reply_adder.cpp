#include "coordinator/dispatch/reply_adder.h"

#include "protocol/packed_sums.h"

namespace potluck {
namespace {

// Unsigned, where wrapping is defined: no reply can cause undefined behavior, and what wraps does
// so alike in every order.
void add_row(std::span<const int64_t> from, std::span<int64_t> to) {
  for (size_t i = 0; i < from.size(); ++i) {
    to[i] = static_cast<int64_t>(static_cast<uint64_t>(to[i]) + static_cast<uint64_t>(from[i]));
  }
}

// visit(row of the reply, row of the batch), for each.
template <class Visit>
void visit_rows(std::span<const RowCall> calls, const Visit& visit) {
  size_t reply_row = 0;
  for (size_t i = 0; i < calls.size(); i = end_of_row(calls, i)) visit(reply_row++, calls[i].row);
}

}  // namespace

// add_packed_sums() checks the whole frame before it touches a sum. Rows that stand side by side in
// the batch (always so when there is one) take the values straight from the frame.
Status ReplyAdder::add(std::span<const RowCall> calls, const Partial& partial, ByteSpan tensor,
                       int64_t limit, ExpertSums* answer) {
  size_t rows = partial.row_flags.size();
  size_t hidden = answer->sums.size() / answer->flags.size();
  std::span<int64_t> sums(answer->sums);
  uint32_t first = calls.front().row;
  bool side_by_side = calls.back().row - first + 1 == rows;
  if (!side_by_side) sums_.assign(rows * hidden, 0);
  std::span<int64_t> into =
      side_by_side ? sums.subspan(first * hidden, rows * hidden) : std::span(sums_);
  if (Status added = add_packed_sums(tensor, limit, into); !added) return added;
  visit_rows(calls, [&](size_t reply_row, uint32_t row) {
    if (!side_by_side) {
      add_row(into.subspan(reply_row * hidden, hidden), sums.subspan(row * hidden, hidden));
    }
    if (partial.row_flags[reply_row] != 0) answer->flags[row] = 1;
  });
  return {};
}

Status ReplyAdder::check(const Partial& partial, ByteSpan tensor, int64_t limit, uint32_t hidden) {
  sums_.assign(partial.row_flags.size() * hidden, 0);
  return add_packed_sums(tensor, limit, sums_);
}

}  // namespace potluck
