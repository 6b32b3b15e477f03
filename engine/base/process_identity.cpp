#include "engine/base/process_identity.h"

#include <charconv>

#include <fmt/format.h>

namespace potluck {

// proc(5): "PID (NAME) STATE ...". NAME may hold anything, parentheses and blanks included, so
// fields are counted from the last parenthesis. `starttime` is field 22, and STATE, the first one
// behind the name, is field 3. Z and X are processes that have ended.
std::optional<uint64_t> process_start(const SystemFiles& files, int64_t process) {
  constexpr int kFieldsBefore = 19;
  if (process <= 0) return std::nullopt;
  std::optional<std::string> content = files.read(fmt::format("/proc/{}/stat", process));
  if (!content) return std::nullopt;
  size_t name_end = content->rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= content->size()) return std::nullopt;
  std::string_view rest = std::string_view(*content).substr(name_end + 2);
  if (rest.starts_with('Z') || rest.starts_with('X')) return std::nullopt;
  for (int i = 0; i < kFieldsBefore; ++i) {
    size_t blank = rest.find(' ');
    if (blank == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(blank + 1);
  }
  uint64_t start = 0;
  auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), start);
  if (failure != std::errc()) return std::nullopt;
  return start;
}

}  // namespace potluck
