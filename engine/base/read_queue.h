// ReadQueue: the requests of a BlockReader that are not at the device yet, in the order in which
// they go there: first come, first served, prefetches behind all others. Internal to the
// readers, which guard it by their own lock.
#pragma once

#include <deque>
#include <optional>

#include "engine/base/block_reader.h"

namespace potluck {

class ReadQueue {
 public:
  void push(const BlockRead& read);
  void promote(uint64_t tag);
  std::optional<BlockRead> pop();
  bool empty() const { return demand_.empty() && prefetches_.empty(); }
  void clear();

 private:
  std::deque<BlockRead> demand_;
  std::deque<BlockRead> prefetches_;
};

// Moves all of `from` to the end of `to`.
void hand_over(std::vector<BlockReadDone>* from, std::vector<BlockReadDone>* to);

}  // namespace potluck
