#include "coordinator/serving/http/json_fields.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace potluck {
namespace {

// A value takes 40 bytes in memory, and may be two bytes of text. A million token ids is the
// longest prompt that there is a model for.
constexpr size_t kValues = 2'000'000;

// Of values, at most.
size_t count_values(std::string_view text) {
  size_t count = 1;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && (text[i] == ',' || text[i] == '[' || text[i] == '{')) {
      ++count;
    }
  }
  return count;
}

}  // namespace

JsonFields::JsonFields(const JsonValue& value, std::string path, std::optional<ApiError>* error)
    : members_(value.object()), path_(std::move(path)), error_(error) {
  if (members_ == nullptr) {
    fail(invalid_request(path_, fmt::format("'{}' must be an object", path_)));
  }
}

const JsonValue* JsonFields::find(std::string_view key) const {
  if (members_ == nullptr) return nullptr;
  const auto last = std::find_if(members_->rbegin(), members_->rend(),
                                 [&](const auto& member) { return member.first == key; });
  return last == members_->rend() || last->second.is_null() ? nullptr : &last->second;
}

std::optional<bool> JsonFields::flag(std::string_view key) {
  const JsonValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const bool* flag = std::get_if<bool>(&value->data)) return *flag;
  wrong_kind(key, "true or false");
  return std::nullopt;
}

std::optional<double> JsonFields::number(std::string_view key, double low, double high) {
  const JsonValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  double number = 0;
  if (const auto* whole = std::get_if<int64_t>(&value->data)) {
    number = static_cast<double>(*whole);
  } else if (const auto* real = std::get_if<double>(&value->data)) {
    number = *real;
  } else {
    wrong_kind(key, "a number");
    return std::nullopt;
  }
  if (number >= low && number <= high) return number;
  fail(key, fmt::format("'{}' must be between {} and {}, but is {}", path(key), low, high, number));
  return std::nullopt;
}

std::optional<int64_t> JsonFields::whole(std::string_view key, int64_t low, int64_t high) {
  const JsonValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = whole_number(*value);
  if (number && *number >= low && *number <= high) return number;
  fail(key, fmt::format("'{}' must be a whole number between {} and {}", path(key), low, high));
  return std::nullopt;
}

std::optional<std::string> JsonFields::text(std::string_view key) {
  const JsonValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->text() != nullptr) return *value->text();
  wrong_kind(key, "a text");
  return std::nullopt;
}

const JsonValue::Array* JsonFields::array(std::string_view key) {
  const JsonValue* value = find(key);
  if (value == nullptr) return nullptr;
  if (value->array() == nullptr) wrong_kind(key, "an array");
  return value->array();
}

const JsonValue::Array* JsonFields::array(std::string_view key, size_t most) {
  const JsonValue::Array* items = array(key);
  if (items == nullptr || items->size() <= most) return items;
  fail(key, fmt::format("'{}' may hold at most {}", path(key), most));
  return nullptr;
}

const JsonValue* JsonFields::object(std::string_view key) {
  const JsonValue* value = find(key);
  if (value == nullptr) return nullptr;
  if (value->object() != nullptr) return value;
  wrong_kind(key, "an object");
  return nullptr;
}

std::string JsonFields::path(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void JsonFields::fail(std::string_view key, const std::string& message) {
  fail(invalid_request(path(key), message));
}

void JsonFields::fail(ApiError error) {
  if (!error_->has_value()) *error_ = std::move(error);
}

void JsonFields::wrong_kind(std::string_view key, std::string_view expected) {
  fail(key, fmt::format("'{}' must be {}", path(key), expected));
}

std::optional<int64_t> whole_number(const JsonValue& value) {
  constexpr double kExact = 0x1.0p53;
  if (const auto* whole = std::get_if<int64_t>(&value.data)) return *whole;
  const auto* real = std::get_if<double>(&value.data);
  if (real == nullptr || std::abs(*real) > kExact || *real != std::floor(*real)) {
    return std::nullopt;
  }
  return static_cast<int64_t>(*real);
}

std::optional<ApiError> parse_body(std::string_view body, JsonValue* object) {
  if (count_values(body) > kValues) {
    return invalid_request("", fmt::format("the body holds more than {} values", kValues));
  }
  auto parsed = parse_json(body);
  if (!parsed) return invalid_request("", "the body is " + parsed.error().message);
  if (parsed->object() == nullptr) return invalid_request("", "the body must be a JSON object");
  *object = std::move(*parsed);
  return std::nullopt;
}

}  // namespace potluck
