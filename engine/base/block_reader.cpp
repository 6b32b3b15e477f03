#include "engine/base/block_reader.h"

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/base/threaded_reader.h"
#include "engine/base/uring_reader.h"

namespace potluck {

Result<ReaderChoice> parse_reader_choice(const std::string& flag, std::string_view text) {
  if (text == "auto") return ReaderChoice::kAuto;
  if (text == "threads") return ReaderChoice::kThreads;
  if (text == "io_uring") return ReaderChoice::kUring;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{}: expected auto, threads or io_uring, found '{}'", flag, text)};
}

Result<std::unique_ptr<BlockReader>> open_block_reader(ReaderChoice choice, uint32_t depth,
                                                       const Clock& clock) {
  if (depth < 1 || depth > limits::kReadDepth) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("reads at the same time: expected 1 to {}, found {}",
                             limits::kReadDepth, depth)};
  }
  // Sandboxes and kernel.io_uring_disabled often refuse a ring. Falling back in silence costs no
  // rate: into huge pages both read equally fast, and threads only take more processor time (12-64
  // against 5-15 ms per GB).
  if (choice != ReaderChoice::kThreads) {
    auto reader = UringBlockReader::open(depth, clock);
    if (reader.ok() || choice == ReaderChoice::kUring) return reader;
  }
  auto reader = std::make_unique<ThreadedBlockReader>(depth, clock);
  // A reader without a thread would accept reads and never finish one.
  if (reader->depth() == 0) {
    return Error{ErrorCode::kLimit,
                 "the system starts no thread for reading: see ulimit -u, ulimit -v and pids.max"};
  }
  return std::unique_ptr<BlockReader>(std::move(reader));
}

}  // namespace potluck
