#include "coordinator/models/block_book.h"

#include <algorithm>

namespace potluck {

BlockBook::BlockBook(uint64_t file_bytes, ByteSpan done)
    : file_bytes_(file_bytes),
      states_((file_bytes + kBlockBytes - 1) / kBlockBytes, State::kMissing) {
  if (done.size() != states_.size()) return;
  for (uint64_t i = 0; i < states_.size(); ++i) {
    if (done[i] == kDone) finish({i, 1});
  }
}

uint64_t BlockBook::bytes(const Run& run) const {
  return std::min(file_bytes_, (run.first + run.count) * kBlockBytes) - offset(run);
}

std::optional<BlockBook::Run> BlockBook::take(uint64_t most) {
  while (next_ < states_.size() && states_[next_] != State::kMissing) ++next_;
  if (next_ == states_.size() || most == 0) return std::nullopt;
  Run run{next_, 0};
  while (run.count < most && next_ < states_.size() && states_[next_] == State::kMissing) {
    states_[next_++] = State::kTaken;
    ++run.count;
  }
  return run;
}

void BlockBook::finish(const Run& run) {
  for (uint64_t i = run.first; i < run.first + run.count; ++i) {
    if (states_[i] == State::kDone) continue;
    states_[i] = State::kDone;
    done_bytes_ += bytes({i, 1});
  }
}

void BlockBook::give_back(const Run& run) {
  for (uint64_t i = run.first; i < run.first + run.count; ++i) {
    if (states_[i] == State::kTaken) states_[i] = State::kMissing;
  }
  next_ = std::min(next_, run.first);
}

}  // namespace potluck
