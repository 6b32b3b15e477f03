// StopStrings: ends a text before the first of some strings, no matter how the text is cut into
// pieces. What may still become one of them is held back. One object per answer, one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace potluck {

class StopStrings {
 public:
  struct Passed {
    std::string text;           // what is now certain
    std::optional<size_t> met;  // which string ended the text; nothing may be pushed after that
  };

  explicit StopStrings(std::vector<std::string> strings);  // empty ones are ignored

  // The first string is the one that is complete first; of several that end at the same place, the
  // longest. Characters stay whole if text and strings are valid UTF-8.
  Passed push(std::string_view text);
  // What is held back, if no more text comes.
  std::string finish();

  const std::string& string(size_t index) const { return strings_[index]; }
  size_t held_bytes() const { return held_.size(); }

 private:
  std::optional<size_t> ends_here(std::string_view text) const;
  size_t uncertain_bytes() const;

  std::vector<std::string> strings_;
  std::string held_;
};

}  // namespace potluck
