// UringBlockReader: a BlockReader over io_uring. One thread owns the ring, refills it from the
// queue and takes what is done, so the device stays busy however seldom the owner looks; it wakes
// up once for all reads that end together, where a pool of threads wakes up for each. Memory is not
// registered with the kernel: scattered reads cannot use that before Linux 6.15, and it is worth
// two processor milliseconds per gigabyte.
#pragma once

#include <memory>

#include "engine/base/block_reader.h"

namespace potluck {

class UringBlockReader final : public BlockReader {
 public:
  // kUnsupported when the system refuses a ring (an old kernel, a sandbox, a setting).
  static Result<std::unique_ptr<BlockReader>> open(uint32_t depth, const Clock& clock);
  ~UringBlockReader() override;

  void submit(std::span<const BlockRead> reads) override;
  void promote(uint64_t tag) override;
  void collect(std::vector<BlockReadDone>* done, bool wait) override;
  size_t outstanding() const override { return outstanding_; }
  uint32_t depth() const override;
  std::string_view name() const override { return "io_uring"; }

 private:
  struct State;
  explicit UringBlockReader(std::unique_ptr<State> state);

  size_t outstanding_ = 0;
  std::unique_ptr<State> state_;
};

}  // namespace potluck
