// Fields of JSON documents from servers and other programs: what is missing or of another type is
// nothing. Plain functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/template/json.h"

namespace potluck {

// Null where there is none.
inline const JsonValue* json_member(const JsonValue& value, std::string_view name) {
  const JsonValue::Object* fields = value.object();
  if (fields == nullptr) return nullptr;
  for (const auto& [key, member] : *fields) {
    if (key == name) return &member;
  }
  return nullptr;
}

inline std::string json_member_text(const JsonValue& value, std::string_view name) {
  const JsonValue* member = json_member(value, name);
  const std::string* text = member == nullptr ? nullptr : member->text();
  return text == nullptr ? std::string() : *text;
}

// A size: nothing where it is negative, broken or beyond any disk.
inline std::optional<uint64_t> json_member_size(const JsonValue& value, std::string_view name) {
  constexpr int64_t kLargestSize = int64_t{1} << 50;
  const JsonValue* member = json_member(value, name);
  const int64_t* number = member == nullptr ? nullptr : std::get_if<int64_t>(&member->data);
  if (number == nullptr || *number < 0 || *number > kLargestSize) return std::nullopt;
  return static_cast<uint64_t>(*number);
}

}  // namespace potluck
