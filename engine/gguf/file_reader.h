// FileReader: reads a file from its start in order, through a window in memory, and only up to a
// limit. It does for a file what ByteReader does for bytes: no length is used before it was
// compared with what is left. Owned by one parser; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/base/storage.h"

namespace potluck {

class FileReader {
 public:
  // Reads at most the first `limit` bytes of `file`, which must outlive the reader.
  FileReader(const ReadableFile& file, uint64_t limit);

  uint64_t position() const { return window_start_ + cursor_; }
  // Bytes that can still be read: up to the end of the file or the limit.
  uint64_t remaining() const { return end_ - position(); }

  // Fails unless `count` entries of at least `least_bytes` each can still follow.
  Status expect_entries(std::string_view what, uint64_t count, uint64_t least_bytes) const;

  template <class T>
  Result<T> read() {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    if (window_.size() - cursor_ < sizeof(T)) {
      if (Status moved = move_window(sizeof(T)); !moved) return moved.error();
    }
    T value = load<T>(window_.data() + cursor_);
    cursor_ += sizeof(T);
    return value;
  }

  // A GGUF string: its length (64 bits), which may be at most `limit`, then that many bytes.
  Result<std::string> read_string(uint64_t limit);

 private:
  Error beyond_end(uint64_t wanted) const;
  bool limited() const { return end_ < file_.size(); }
  // Makes the next `wanted` bytes part of the window.
  Status move_window(uint64_t wanted);

  const ReadableFile& file_;
  uint64_t end_;
  uint64_t window_start_ = 0;  // offset of the window in the file
  uint64_t cursor_ = 0;        // offset of the next byte in the window
  ByteVector window_;
};

}  // namespace potluck
