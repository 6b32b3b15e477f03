// A window slides over the file: values are decoded from memory, and a long string stretches the
// window over itself.
#include "engine/gguf/file_reader.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {
namespace {

// Large enough that system calls do not show, small enough for the processor's cache.
constexpr uint64_t kWindowBytes = 256 * kKiB;

}  // namespace

FileReader::FileReader(const ReadableFile& file, uint64_t limit)
    : file_(file), end_(std::min(file.size(), limit)) {}

Error FileReader::beyond_end(uint64_t wanted) const {
  if (limited()) {
    return {ErrorCode::kLimit,
            fmt::format("{} bytes wanted at offset {}, but a header may take at most {} bytes",
                        wanted, position(), end_)};
  }
  return {ErrorCode::kCorrupt, fmt::format("truncated: {} bytes wanted at offset {}, {} left",
                                           wanted, position(), remaining())};
}

Status FileReader::expect_entries(std::string_view what, uint64_t count,
                                  uint64_t least_bytes) const {
  // Divided, not multiplied: count is the file's and the product may wrap. What passes is small
  // enough to reserve memory for.
  if (count <= remaining() / least_bytes) return {};
  return Error{limited() ? ErrorCode::kLimit : ErrorCode::kCorrupt,
               fmt::format("expected {} {} of at least {} bytes each, found {} bytes", count, what,
                           least_bytes, remaining())};
}

Status FileReader::move_window(uint64_t wanted) {
  if (remaining() < wanted) return beyond_end(wanted);
  uint64_t start = position();
  window_.resize(std::min(end_ - start, std::max(wanted, kWindowBytes)));
  window_start_ = start;
  cursor_ = 0;
  return file_.read_at(start, window_);
}

Result<std::string> FileReader::read_string(uint64_t limit) {
  auto length = read<uint64_t>();
  if (!length) return length.error();
  // Before the limit, so a cut file is called truncated and not hostile.
  if (*length > remaining()) return beyond_end(*length);
  if (*length > limit) {
    return Error{ErrorCode::kLimit,
                 fmt::format("expected a text of at most {} bytes, found {}", limit, *length)};
  }
  if (window_.size() - cursor_ < *length) {
    if (Status moved = move_window(*length); !moved) return moved.error();
  }
  std::string text(as_text(ByteSpan(window_).subspan(cursor_, *length)));
  cursor_ += *length;
  return text;
}

}  // namespace potluck
