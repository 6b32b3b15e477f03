// Writers disagree on types: the same key is a uint32 in one file and an int64 or a float in the
// next. So every getter takes any type whose value converts without loss, and refuses the rest by
// name.
#include <cmath>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>

#include "engine/base/printable.h"
#include "engine/gguf/gguf.h"

namespace potluck {
namespace {

// Visits a variant with one lambda per kind of value.
template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

// The same number as an integer, if there is one: 3.0 is 3, 3.5 is none.
template <class Integer>
std::optional<Integer> exact_integer(double value) {
  // The bounds are powers of two, so they are exact; NaN fails both comparisons.
  constexpr double kEnd = std::is_signed_v<Integer> ? 0x1p63 : 0x1p64;
  constexpr double kBegin = std::is_signed_v<Integer> ? -0x1p63 : 0.0;
  if (!(value >= kBegin && value < kEnd) || value != std::trunc(value)) return std::nullopt;
  return static_cast<Integer>(value);
}
template <class Integer, class Other>
std::optional<Integer> exact_integer(Other value) {
  // Also between signed and unsigned, where a cast would turn -1 into a huge number.
  if (!std::in_range<Integer>(value)) return std::nullopt;
  return static_cast<Integer>(value);
}

std::optional<double> exact_double(double value) {
  return value;
}
template <class Integer>
std::optional<double> exact_double(Integer value) {
  auto converted = static_cast<double>(value);
  // Converted back, not compared with 2^53: many larger integers are exact too.
  if (exact_integer<Integer>(converted) != value) return std::nullopt;
  return converted;
}

std::string array_text(const MetadataArray& array) {
  return std::visit(
      Overloaded{
          [](const std::vector<std::string>& v) { return fmt::format("{} texts", v.size()); },
          [](const std::vector<bool>& v) { return fmt::format("{} booleans", v.size()); },
          [](const std::vector<double>& v) { return fmt::format("{} numbers", v.size()); },
          [](const auto& v) { return fmt::format("{} integers", v.size()); }},
      array);
}

// What a value is, for messages.
std::string value_text(const MetadataValue& value) {
  return std::visit(
      Overloaded{[](const std::string& text) { return fmt::format("\"{}\"", printable(text)); },
                 [](const MetadataArray& array) { return "an array of " + array_text(array); },
                 [](bool flag) { return std::string(flag ? "true" : "false"); },
                 [](auto number) { return fmt::format("{}", number); }},
      value);
}

Error missing(const std::string& key) {
  return {ErrorCode::kNotFound, fmt::format("key \"{}\" is missing", printable(key))};
}

Error mismatch(const std::string& key, std::string_view expected, const MetadataValue& found) {
  return {ErrorCode::kCorrupt, fmt::format("key \"{}\": expected {}, found {}", printable(key),
                                           expected, value_text(found))};
}

// Every element of `from`, converted by `convert`; nothing if one cannot be converted.
template <class To, class From, class Convert>
std::optional<std::vector<To>> convert_all(const std::vector<From>& from, const Convert& convert) {
  std::vector<To> out;
  out.reserve(from.size());
  for (From value : from) {
    std::optional<To> converted = convert(value);
    if (!converted) return std::nullopt;
    out.push_back(*converted);
  }
  return out;
}

std::optional<std::vector<int64_t>> to_integers(const MetadataArray& array) {
  auto convert = [](auto value) { return exact_integer<int64_t>(value); };
  return std::visit(
      Overloaded{
          [](const std::vector<std::string>&) -> std::optional<std::vector<int64_t>> { return {}; },
          [](const std::vector<bool>& flags) -> std::optional<std::vector<int64_t>> {
            return std::vector<int64_t>(flags.begin(), flags.end());
          },
          [&](const auto& values) { return convert_all<int64_t>(values, convert); }},
      array);
}

std::optional<std::vector<double>> to_numbers(const MetadataArray& array) {
  auto convert = [](auto value) { return exact_double(value); };
  return std::visit(
      Overloaded{
          [](const std::vector<std::string>&) -> std::optional<std::vector<double>> { return {}; },
          [](const std::vector<bool>&) -> std::optional<std::vector<double>> { return {}; },
          [&](const auto& values) { return convert_all<double>(values, convert); }},
      array);
}

}  // namespace

const MetadataValue* GgufMetadata::find(const std::string& key) const {
  auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

bool GgufMetadata::insert(std::string key, MetadataValue value) {
  auto [place, fresh] = values_.try_emplace(key);
  if (!fresh) return false;
  place->second = std::move(value);
  keys_.push_back(std::move(key));
  return true;
}

Result<uint64_t> GgufMetadata::integer(const std::string& key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  std::optional<uint64_t> number =
      std::visit(Overloaded{[](const std::string&) -> std::optional<uint64_t> { return {}; },
                            [](const MetadataArray&) -> std::optional<uint64_t> { return {}; },
                            [](bool) -> std::optional<uint64_t> { return {}; },
                            [](auto plain) { return exact_integer<uint64_t>(plain); }},
                 *value);
  if (!number) return mismatch(key, "an integer that is not negative", *value);
  return *number;
}

Result<double> GgufMetadata::number(const std::string& key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  std::optional<double> number =
      std::visit(Overloaded{[](const std::string&) -> std::optional<double> { return {}; },
                            [](const MetadataArray&) -> std::optional<double> { return {}; },
                            [](bool) -> std::optional<double> { return {}; },
                            [](auto plain) { return exact_double(plain); }},
                 *value);
  if (!number) return mismatch(key, "a number", *value);
  return *number;
}

Result<bool> GgufMetadata::boolean(const std::string& key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const bool* flag = std::get_if<bool>(value)) return *flag;
  const auto number = integer(key);  // some writers have no booleans
  if (number && *number <= 1) return *number == 1;
  return mismatch(key, "a boolean", *value);
}

Result<std::string> GgufMetadata::text(const std::string& key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  const auto* text = std::get_if<std::string>(value);
  if (text == nullptr) return mismatch(key, "a text", *value);
  return *text;
}

Result<std::vector<std::string>> GgufMetadata::texts(const std::string& key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  const auto* array = std::get_if<MetadataArray>(value);
  const auto* texts = array ? std::get_if<std::vector<std::string>>(array) : nullptr;
  if (texts == nullptr) return mismatch(key, "an array of texts", *value);
  return *texts;
}

Result<std::vector<int64_t>> GgufMetadata::integers(const std::string& key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  const auto* array = std::get_if<MetadataArray>(value);
  auto integers = array ? to_integers(*array) : std::nullopt;
  if (!integers) return mismatch(key, "an array of integers", *value);
  return std::move(*integers);
}

Result<std::vector<double>> GgufMetadata::numbers(const std::string& key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return missing(key);
  const auto* array = std::get_if<MetadataArray>(value);
  auto numbers = array ? to_numbers(*array) : std::nullopt;
  if (!numbers) return mismatch(key, "an array of numbers", *value);
  return std::move(*numbers);
}

}  // namespace potluck
