// The library's event parser (SAX) builds our own tree: it keeps the order of members, which
// decides what a model reads, and nesting is bounded while the text is parsed, not after.
#include "engine/template/json.h"

#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

// Builds the tree as the parser reports its pieces; the parser calls these members by name.
class TreeBuilder {
 public:
  using Json = nlohmann::json;

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(Json::number_integer_t value) { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) {
    // Larger than any integer here; clients in JavaScript take it for a double as well.
    if (value > INT64_MAX) return add(static_cast<double>(value));
    return add(static_cast<int64_t>(value));
  }
  bool number_float(Json::number_float_t value, const Json::string_t&) { return add(value); }
  bool string(Json::string_t& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }
  bool key(Json::string_t& name) {
    key_ = std::move(name);
    return true;
  }
  bool start_array(size_t) { return open<JsonValue::Array>(); }
  bool start_object(size_t) { return open<JsonValue::Object>(); }
  bool end_array() { return close(); }
  bool end_object() { return close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    error_ = fmt::format("not JSON from byte {} on", position);
    return false;
  }

  const std::string& error() const { return error_; }
  JsonValue take() { return std::move(root_); }

 private:
  template <class T>
  bool add(T&& data) {
    place()->data = std::forward<T>(data);
    return true;
  }

  template <class Container>
  bool open() {
    // The values are freed and written by recursion, which a depth from outside must not drive.
    if (open_.size() == limits::kJsonDepth) {
      error_ = fmt::format("JSON nests deeper than {}", limits::kJsonDepth);
      return false;
    }
    JsonValue* at = place();
    at->data.emplace<Container>();
    open_.push_back(at);
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  // Where the next value goes. A container does not move while it is open: only the innermost open
  // one grows.
  JsonValue* place() {
    if (open_.empty()) return &root_;
    if (auto* array = std::get_if<JsonValue::Array>(&open_.back()->data)) {
      return &array->emplace_back();
    }
    auto& object = *std::get_if<JsonValue::Object>(&open_.back()->data);
    object.emplace_back(std::piecewise_construct, std::forward_as_tuple(std::move(key_)),
                        std::tuple<>());
    return &object.back().second;
  }

  JsonValue root_;
  std::vector<JsonValue*> open_;
  std::string key_;
  std::string error_;
};

void write(const JsonValue& value, std::string* out);

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

template <class Items, class WriteItem>
void write_list(const Items& items, const char* brackets, const WriteItem& write_item,
                std::string* out) {
  *out += brackets[0];
  const char* separator = "";
  for (const auto& item : items) {
    *out += std::exchange(separator, ", ");
    write_item(item);
  }
  *out += brackets[1];
}

// parse_json() bounds the nesting of what gets here.
void write(const JsonValue& value, std::string* out) {
  if (const auto* array = value.array()) {
    write_list(
        *array, "[]", [&](const JsonValue& item) { write(item, out); }, out);
  } else if (const auto* object = value.object()) {
    write_list(
        *object, "{}",
        [&](const auto& member) {
          *out += quoted(member.first) + ": ";
          write(member.second, out);
        },
        out);
  } else if (value.text() != nullptr) {
    *out += quoted(*value.text());
  } else if (const auto* boolean = std::get_if<bool>(&value.data)) {
    *out += *boolean ? "true" : "false";
  } else if (const auto* whole = std::get_if<int64_t>(&value.data)) {
    *out += std::to_string(*whole);
  } else if (const auto* number = std::get_if<double>(&value.data)) {
    *out += nlohmann::json(*number).dump();
  } else {
    *out += "null";
  }
}

}  // namespace

Result<JsonValue> parse_json(std::string_view text) {
  TreeBuilder builder;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    return Error{ErrorCode::kInvalidArgument,
                 builder.error().empty() ? "not JSON" : builder.error()};
  }
  return builder.take();
}

std::string write_json(const JsonValue& value) {
  std::string text;
  write(value, &text);
  return text;
}

}  // namespace potluck
