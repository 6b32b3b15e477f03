// Reading the one-line files below /sys. Plain functions; any thread.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/system_files.h"

namespace potluck {

// Empty where the file cannot be read.
inline std::string first_line(const SystemFiles& files, const std::string& path) {
  const std::optional<std::string> text = files.read(path);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

// The whole text is one number that fits.
template <class T>
std::optional<T> whole_number(std::string_view text) {
  T value = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace potluck
