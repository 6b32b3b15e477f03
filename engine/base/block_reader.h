// BlockReader: reads blocks of files without making its owner wait for the device. Requests beyond
// `depth` queue inside; prefetches wait behind all others. Two implementations behind
// one interface: a pool of threads, and io_uring, which takes less processor time.
//
// Belongs to one thread, which makes all calls; the files and the memory named in a request must
// stay until the request was collected or the reader is gone.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/base/storage.h"

namespace potluck {

// Where the bytes of one request go, in order. A plain value that allocates nothing.
class BlockParts {
 public:
  static constexpr size_t kMost = 16;

  BlockParts() = default;
  BlockParts(MutableByteSpan only) { push_back(only); }  // NOLINT: implicit on purpose

  void push_back(MutableByteSpan part) {
    CHECK(count_ < kMost && !part.empty());
    parts_[count_++] = part;
    bytes_ += part.size();
  }
  size_t size() const { return count_; }
  uint64_t bytes() const { return bytes_; }  // of all parts
  std::span<const MutableByteSpan> span() const { return {parts_.data(), count_}; }

 private:
  std::array<MutableByteSpan, kMost> parts_;
  size_t count_ = 0;
  uint64_t bytes_ = 0;
};

// Bytes of a file from `offset` on, scattered into `parts`.
struct BlockRead {
  const ReadableFile* file = nullptr;
  uint64_t offset = 0;  // with the parts' lengths and addresses, obeys file->direct_alignment()
  BlockParts parts{};   // at least one
  uint64_t tag = 0;     // the caller's name for the request; unique among those outstanding
  bool prefetch = false;
};

struct BlockReadDone {
  uint64_t tag = 0;
  Status status;     // as of ReadableFile::read_at: names the file
  Duration took{0};  // at the device, without the time in the queue
};

class BlockReader {
 public:
  // Waits for what is at the device; what is still queued is dropped.
  virtual ~BlockReader() = default;

  // Never waits for the device.
  virtual void submit(std::span<const BlockRead> reads) = 0;

  // A prefetch that is still queued takes its place behind the other reads that are not.
  // Nothing happens when it is at the device or done already.
  virtual void promote(uint64_t tag) = 0;

  // Appends what is done to `done`. With `wait`, blocks until there is at least one; returns at
  // once when nothing is outstanding.
  virtual void collect(std::vector<BlockReadDone>* done, bool wait) = 0;

  // Submitted and not collected.
  virtual size_t outstanding() const = 0;
  // Reads that are at the device at the same time, at most.
  virtual uint32_t depth() const = 0;
  virtual std::string_view name() const = 0;  // "threads" or "io_uring"
};

enum class ReaderChoice {
  kAuto,  // io_uring where the system allows it, else threads
  kThreads,
  kUring,
};

// "auto", "threads" or "io_uring"; the error names `flag`.
Result<ReaderChoice> parse_reader_choice(const std::string& flag, std::string_view text);

// How an owner wants its reads done.
struct ReaderSettings {
  ReaderChoice choice = ReaderChoice::kAuto;
  uint32_t depth = 0;       // 0: as the disk probe finds best
  uint64_t read_bytes = 0;  // neighbors are read in pieces of that size; 0: as the owner has it
  uint64_t simulated_bytes_per_second = 0;  // as from a disk of that rate; 0: the real one
};

// kUnsupported when io_uring was asked for and the system refuses it, kLimit when it gives no
// thread, kInvalidArgument for a depth outside 1 to limits::kReadDepth. `clock` must outlive the
// reader.
Result<std::unique_ptr<BlockReader>> open_block_reader(ReaderChoice choice, uint32_t depth,
                                                       const Clock& clock);

}  // namespace potluck
