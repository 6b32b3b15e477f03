#include "engine/base/read_queue.h"

#include <algorithm>
#include <iterator>

namespace potluck {

void ReadQueue::push(const BlockRead& read) {
  CHECK(read.file != nullptr && read.parts.size() > 0);
  (read.prefetch ? prefetches_ : demand_).push_back(read);
}

void ReadQueue::promote(uint64_t tag) {
  auto found = std::find_if(prefetches_.begin(), prefetches_.end(),
                            [tag](const BlockRead& read) { return read.tag == tag; });
  if (found == prefetches_.end()) return;
  demand_.push_back(*found);
  prefetches_.erase(found);
}

std::optional<BlockRead> ReadQueue::pop() {
  std::deque<BlockRead>& first = demand_.empty() ? prefetches_ : demand_;
  if (first.empty()) return std::nullopt;
  BlockRead read = first.front();
  first.pop_front();
  return read;
}

void ReadQueue::clear() {
  demand_.clear();
  prefetches_.clear();
}

void hand_over(std::vector<BlockReadDone>* from, std::vector<BlockReadDone>* to) {
  to->insert(to->end(), std::make_move_iterator(from->begin()),
             std::make_move_iterator(from->end()));
  from->clear();
}

}  // namespace potluck
