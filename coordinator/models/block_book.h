// BlockBook: which blocks of a file are there, and which are being fetched. What is written down of
// it survives the process; it is read back as a stranger's. Pure; one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/bytes.h"

namespace potluck {

class BlockBook {
 public:
  static constexpr uint64_t kBlockBytes = kMiB;

  // `done`: a byte for each block as bytes() gives them; of another length: nothing is there yet.
  BlockBook(uint64_t file_bytes, ByteSpan done);

  struct Run {
    uint64_t first = 0;  // block
    uint64_t count = 0;
  };
  // The next blocks that are neither there nor taken, at most so many; nothing when there are none.
  std::optional<Run> take(uint64_t most);
  void finish(const Run& run);
  void give_back(const Run& run);

  uint64_t offset(const Run& run) const { return run.first * kBlockBytes; }
  uint64_t bytes(const Run& run) const;
  uint64_t done_bytes() const { return done_bytes_; }
  bool complete() const { return done_bytes_ == file_bytes_; }
  // For what is written down; in it, a run stands at its number.
  uint64_t blocks() const { return states_.size(); }
  static constexpr std::byte kDone{1};

 private:
  enum class State : uint8_t { kMissing, kTaken, kDone };

  uint64_t file_bytes_;
  uint64_t done_bytes_ = 0;
  uint64_t next_ = 0;  // no block before it is missing
  std::vector<State> states_;
};

}  // namespace potluck
