// JSON as plain data: what messages, tools and template arguments carry. The library that parses it
// is known to json.cpp alone. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/result.h"

namespace potluck {

struct JsonValue {
  using Array = std::vector<JsonValue>;
  using Object = std::vector<std::pair<std::string, JsonValue>>;  // in the order of the text

  // Whole numbers beyond 64 bits are doubles, as their readers take them.
  std::variant<std::nullptr_t, bool, int64_t, double, std::string, Array, Object> data = nullptr;

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(data); }
  const std::string* text() const { return std::get_if<std::string>(&data); }
  const Array* array() const { return std::get_if<Array>(&data); }
  const Object* object() const { return std::get_if<Object>(&data); }
};

// The error says where the text stops being JSON; nesting is bounded (limits::kJsonDepth).
Result<JsonValue> parse_json(std::string_view text);

// On one line, with the separators of Python's json.dumps(), which models have read most. Bytes
// that are not UTF-8 become U+FFFD.
std::string write_json(const JsonValue& value);

}  // namespace potluck
