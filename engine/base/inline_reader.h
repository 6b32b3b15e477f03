// InlineBlockReader: a BlockReader without threads: collect() reads what was requested, in
// order. For simulations and tests, where the order of events must not depend on threads. Belongs
// to one thread.
#pragma once

#include "engine/base/block_reader.h"
#include "engine/base/read_queue.h"

namespace potluck {

class InlineBlockReader final : public BlockReader {
 public:
  explicit InlineBlockReader(const Clock& clock) : clock_(clock) {}

  void submit(std::span<const BlockRead> reads) override;
  void promote(uint64_t tag) override { queue_.promote(tag); }
  void collect(std::vector<BlockReadDone>* done, bool wait) override;
  size_t outstanding() const override { return outstanding_; }
  uint32_t depth() const override { return 4; }
  std::string_view name() const override { return "inline"; }

 private:
  const Clock& clock_;
  ReadQueue queue_;
  size_t outstanding_ = 0;
};

}  // namespace potluck
