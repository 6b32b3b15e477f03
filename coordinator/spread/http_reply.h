// What a server's answer to one request for a range says, read from its header lines, and whether
// it is what was asked for. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace potluck {

struct ContentRange {
  uint64_t first = 0;
  uint64_t last = 0;  // inclusive
  uint64_t total = 0;
};

// The header fields that matter, of one answer. Lines are a stranger's.
class HttpReply {
 public:
  // Header lines of all answers of one request, redirections included, may take this much.
  static constexpr size_t kMostHeaderBytes = 256 * 1024;
  // A tag beyond it is taken for none.
  static constexpr size_t kLongestTag = 256;

  // One line, with or without its end; a status line begins a new answer. False when there are too
  // many bytes of them.
  bool add_line(std::string_view line);

  int status() const { return status_; }
  const std::optional<ContentRange>& range() const { return range_; }
  // Seconds from now on; of a date, if `now` (Unix time) is not negative.
  std::optional<uint64_t> retry_after(int64_t now) const;
  // A strong ETag, else the date of the last change, else empty.
  std::string tag() const;
  // X-Linked-ETag, which model hubs send with their redirection: the SHA-256 of a large file. Only
  // the first answer counts, that of the host which was asked; without quotes, may be empty.
  const std::string& linked_tag() const { return linked_tag_; }
  // What hubs say of an error: "GatedRepo", and a sentence. Of the last answer; may be empty.
  const std::string& error_code() const { return error_code_; }
  const std::string& error_text() const { return error_text_; }

 private:
  void clear();
  void take_hub_field(std::string_view name, std::string_view value);

  size_t bytes_ = 0;
  int status_ = 0;
  std::optional<ContentRange> range_;
  std::string retry_after_;
  std::string etag_;
  std::string modified_;
  uint32_t answers_ = 0;
  std::string linked_tag_;
  std::string error_code_;
  std::string error_text_;
};

// "bytes 0-99/1000"; nothing for any other form, an unknown total or numbers that contradict
// themselves.
std::optional<ContentRange> parse_content_range(std::string_view text);

}  // namespace potluck
