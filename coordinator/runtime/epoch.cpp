#include "coordinator/runtime/epoch.h"

#include <charconv>

#include <fmt/format.h>

#include "engine/base/printable.h"

namespace potluck {
namespace {

constexpr uint64_t kFileBytes = 64;

// Digits, and the end of a line if an editor has added one.
Result<uint64_t> parse_epoch(std::string_view text) {
  std::string_view digits = text.substr(0, text.find_last_not_of("\r\n") + 1);
  uint64_t epoch = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, failure] = std::from_chars(digits.data(), end, epoch);
  if (failure == std::errc() && stop == end) return epoch;
  return Error{ErrorCode::kCorrupt,
               fmt::format("expected a whole number below 2^64, found \"{}\"; without the file the "
                           "count begins again, and workers join again",
                           printable(text))};
}

}  // namespace

Result<uint64_t> next_epoch(Storage& storage, const std::string& path) {
  uint64_t epoch = 0;
  if (storage.exists(path)) {
    Result<ByteVector> text = read_file(storage, path, kFileBytes);
    if (!text) return text.error();
    Result<uint64_t> parsed = parse_epoch(as_text(*text));
    if (!parsed) return parsed.error().in(path);
    epoch = *parsed;
  }
  epoch = epoch == UINT64_MAX ? 1 : epoch + 1;
  // On disk before it is used: two lives with one epoch would take each other's answers, and
  // workers would not notice the restart.
  Status written = storage.write_atomic(path, as_bytes(std::to_string(epoch)));
  if (!written) return written.error();
  return epoch;
}

}  // namespace potluck
