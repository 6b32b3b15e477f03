// JsonFields: the members of a request's JSON object, each read with the kind and the range that it
// must have. The first thing that is wrong is kept as the answer to the whole request, under the
// name of the member. `null` is as good as absent, and of two members of the same name the last
// counts. One thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "coordinator/serving/http/api_error.h"
#include "engine/template/json.h"

namespace potluck {

class JsonFields {
 public:
  // All that is read from one request shares an error. `path` stands before the names of members:
  // "" or "messages[2]". `value` must be an object; if not, that is the error.
  JsonFields(const JsonValue& value, std::string path, std::optional<ApiError>* error);

  const JsonValue* find(std::string_view key) const;

  std::optional<bool> flag(std::string_view key);
  std::optional<double> number(std::string_view key, double low, double high);
  std::optional<int64_t> whole(std::string_view key, int64_t low, int64_t high);
  std::optional<std::string> text(std::string_view key);
  const JsonValue::Array* array(std::string_view key);
  // The same, with an error if it has more than `most` items.
  const JsonValue::Array* array(std::string_view key, size_t most);
  const JsonValue* object(std::string_view key);

  std::string path(std::string_view key) const;
  void fail(std::string_view key, const std::string& message);
  void fail(ApiError error);
  bool failed() const { return error_->has_value(); }
  std::optional<ApiError>* error() { return error_; }

 private:
  void wrong_kind(std::string_view key, std::string_view expected);

  const JsonValue::Object* members_;
  std::string path_;
  std::optional<ApiError>* error_;
};

// A whole number, also one that is written like 100.0.
std::optional<int64_t> whole_number(const JsonValue& value);

// The JSON object that a request's body must be. Bounded in nesting and in the number of values.
std::optional<ApiError> parse_body(std::string_view body, JsonValue* object);

}  // namespace potluck
