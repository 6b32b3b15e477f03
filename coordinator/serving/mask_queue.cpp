#include "coordinator/serving/mask_queue.h"

#include <algorithm>

namespace potluck {
namespace {

// In a turn, in all: together with what cannot be left in the middle (limits::kByteWork and
// kTokenWork) less than 20 ms.
constexpr uint64_t kTurnWork = 64 * 1024;
constexpr uint64_t kLargeShare = 32 * 1024;
// At a time, for one request: most masks of JSON take less.
constexpr uint64_t kPieceWork = 16 * 1024;
// What has taken more is large. It holds memory, too.
constexpr uint64_t kLargeWork = 256 * 1024;

}  // namespace

void MaskQueue::begin_turn() {
  left_ = kTurnWork;
  left_for_large_ = kLargeShare;
}

uint64_t MaskQueue::at_once() const {
  return std::min(left_, kPieceWork);
}

std::optional<CompletionId> MaskQueue::smallest() const {
  auto least = std::ranges::min_element(waiting_, {}, [](const auto& one) { return one.second; });
  if (least == waiting_.end() || least->second >= kLargeWork) return std::nullopt;
  return least->first;
}

std::optional<CompletionId> MaskQueue::first_large() const {
  auto first =
      std::ranges::find_if(waiting_, [](const auto& one) { return one.second >= kLargeWork; });
  if (first == waiting_.end()) return std::nullopt;
  return first->first;
}

std::optional<MaskQueue::Piece> MaskQueue::next() const {
  std::optional<CompletionId> large = first_large();
  if (large && left_for_large_ > 0) return Piece{*large, std::min(left_for_large_, kPieceWork)};
  std::optional<CompletionId> id = smallest();
  if (!id) id = large;
  if (!id || left_ == 0) return std::nullopt;
  return Piece{*id, at_once()};
}

void MaskQueue::spend(const Piece& piece, uint64_t work) {
  uint64_t& taken = waiting_.at(piece.id);
  uint64_t& left = taken >= kLargeWork && left_for_large_ > 0 ? left_for_large_ : left_;
  taken += work;
  left -= std::min(left, work);
}

}  // namespace potluck
