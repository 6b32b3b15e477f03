// ThreadedBlockReader: a BlockReader made of as many threads as reads may be at the device; each
// reads through ReadableFile and takes the next request by itself, so the device stays busy however
// seldom the owner looks. Works with every Storage.
#pragma once

#include <thread>

#include "engine/base/block_reader.h"
#include "engine/base/read_queue.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

class ThreadedBlockReader final : public BlockReader {
 public:
  // As many threads as can be had; depth() tells. With none nothing would ever be read: do not use
  // such a reader.
  ThreadedBlockReader(uint32_t depth, const Clock& clock);
  ~ThreadedBlockReader() override;

  void submit(std::span<const BlockRead> reads) override;
  void promote(uint64_t tag) override;
  void collect(std::vector<BlockReadDone>* done, bool wait) override;
  size_t outstanding() const override { return outstanding_; }
  uint32_t depth() const override { return static_cast<uint32_t>(threads_.size()); }
  std::string_view name() const override { return "threads"; }

 private:
  void read_loop();

  const Clock& clock_;
  size_t outstanding_ = 0;  // the owner's
  Mutex mutex_;
  Condition work_;
  Condition finished_;
  ReadQueue queue_ GUARDED_BY(mutex_);
  std::vector<BlockReadDone> done_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace potluck
