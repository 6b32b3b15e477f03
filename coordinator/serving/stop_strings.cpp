#include "coordinator/serving/stop_strings.h"

#include <algorithm>
#include <utility>

namespace potluck {

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  std::erase_if(strings_, [](const std::string& string) { return string.empty(); });
}

StopStrings::Passed StopStrings::push(std::string_view text) {
  if (strings_.empty()) return {std::string(text), {}};
  size_t looked_at = held_.size();
  held_ += text;
  for (size_t end = looked_at + 1; end <= held_.size(); ++end) {
    std::optional<size_t> met = ends_here(std::string_view(held_).substr(0, end));
    if (!met) continue;
    std::string before = held_.substr(0, end - strings_[*met].size());
    held_.clear();
    return {std::move(before), met};
  }
  size_t certain = held_.size() - uncertain_bytes();
  std::string passed = held_.substr(0, certain);
  held_.erase(0, certain);
  return {std::move(passed), {}};
}

std::string StopStrings::finish() {
  return std::exchange(held_, {});
}

std::optional<size_t> StopStrings::ends_here(std::string_view text) const {
  std::optional<size_t> longest;
  for (size_t i = 0; i < strings_.size(); ++i) {
    if (!text.ends_with(strings_[i])) continue;
    if (!longest || strings_[i].size() > strings_[*longest].size()) longest = i;
  }
  return longest;
}

size_t StopStrings::uncertain_bytes() const {
  size_t longest = 0;
  for (const std::string& string : strings_) {
    for (size_t bytes = std::min(held_.size(), string.size() - 1); bytes > longest; --bytes) {
      if (std::string_view(held_).ends_with(std::string_view(string).substr(0, bytes))) {
        longest = bytes;
      }
    }
  }
  return longest;
}

}  // namespace potluck
