#include "coordinator/serving/http/text_parts.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {

std::string read_text_part(const JsonValue& part, const std::string& path,
                           std::span<const std::string_view> types,
                           std::optional<ApiError>* error) {
  JsonFields fields(part, path, error);
  const std::string type = fields.text("type").value_or("");
  if (fields.failed()) return {};
  if (std::ranges::find(types, type) == types.end()) {
    fields.fail(not_supported(
        fields.path("type"),
        fmt::format("content of type '{}' is not supported: this model reads text", type)));
    return {};
  }
  auto text = fields.text("text");
  if (!text) fields.fail("text", fmt::format("'{}.text' must be a text", path));
  return std::move(text).value_or("");
}

std::string read_joined_text(JsonFields& fields, std::string_view key,
                             std::span<const std::string_view> types, std::string_view separator) {
  const JsonValue* value = fields.find(key);
  if (value == nullptr) return {};
  if (value->text() != nullptr) return *value->text();
  const JsonValue::Array* parts = value->array();
  if (parts == nullptr) {
    fields.fail(key, fmt::format("'{}' must be a text or an array of parts", fields.path(key)));
    return {};
  }
  std::string text;
  for (size_t i = 0; i < parts->size() && !fields.failed(); ++i) {
    if (i > 0) text += separator;
    text += read_text_part((*parts)[i], fmt::format("{}[{}]", fields.path(key), i), types,
                           fields.error());
  }
  return text;
}

}  // namespace potluck
