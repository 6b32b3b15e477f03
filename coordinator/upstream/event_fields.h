// Members of another server's events, each only if it has the kind that it should have. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "engine/template/json.h"

namespace potluck {

// Null where there is no such member, or the value is no object.
inline const JsonValue* event_member(const JsonValue& value, std::string_view name) {
  if (value.object() == nullptr) return nullptr;
  for (const auto& [key, member] : *value.object()) {
    if (key == name) return &member;
  }
  return nullptr;
}

// Null where it is no text.
inline const std::string* event_text(const JsonValue& value, std::string_view name) {
  const JsonValue* member = event_member(value, name);
  return member == nullptr ? nullptr : member->text();
}

inline std::string event_text_or_empty(const JsonValue& value, std::string_view name) {
  const std::string* text = event_text(value, name);
  return text == nullptr ? std::string() : *text;
}

// 0 where it is no number of tokens.
inline uint32_t event_count(const JsonValue& value, std::string_view name) {
  const JsonValue* member = event_member(value, name);
  const auto* number = member == nullptr ? nullptr : std::get_if<int64_t>(&member->data);
  if (number == nullptr) return 0;
  return static_cast<uint32_t>(
      std::clamp<int64_t>(*number, 0, std::numeric_limits<int32_t>::max()));
}

}  // namespace potluck
