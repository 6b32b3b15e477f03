#include "coordinator/cli/json_text.h"

#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "engine/base/terminal_text.h"
#include "engine/base/utf8.h"
#include "engine/template/json.h"

namespace potluck {
namespace {

using Json = nlohmann::json;

// Recursive: the parser bounds the nesting.
Json convert(const JsonValue& value) {
  struct Converter {
    Json operator()(const JsonValue::Array& array) const {
      Json list = Json::array();
      for (const JsonValue& element : array) list.push_back(convert(element));
      return list;
    }
    Json operator()(const JsonValue::Object& fields) const {
      Json object = Json::object();
      for (const auto& [name, field] : fields) object[name] = convert(field);
      return object;
    }
    Json operator()(const std::string& text) const { return text; }
    Json operator()(std::nullptr_t) const { return nullptr; }
    Json operator()(bool truth) const { return truth; }
    Json operator()(int64_t number) const { return number; }
    Json operator()(double number) const { return number; }
  };
  return std::visit(Converter{}, value.data);
}

const Json* find_field(const Json& document, const char* name) {
  if (!document.is_object()) return nullptr;
  auto found = document.find(name);
  return found == document.end() ? nullptr : &*found;
}

}  // namespace

std::string json_text(const Json& document) {
  constexpr int kOneLine = -1;
  constexpr bool kAllOfUnicode = false;
  // Without the handler, bytes that are not UTF-8 would throw: file names and answers of models may
  // hold any.
  const std::string text =
      document.dump(kOneLine, ' ', kAllOfUnicode, Json::error_handler_t::replace);
  // JSON lets DEL, C1 controls and the like stand as they are; they can only be inside of texts.
  std::string out;
  out.reserve(text.size());
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view character = rest.substr(0, utf8_length(rest[0]));
    const uint32_t code_point = decode_utf8(character);
    if (is_terminal_control(code_point)) {
      out += fmt::format("\\u{:04x}", code_point);
    } else {
      out += character;
    }
    rest.remove_prefix(character.size());
  }
  return out;
}

Result<Json> read_json(std::string_view text) {
  Result<JsonValue> parsed = parse_json(text);
  if (!parsed) return Error{ErrorCode::kCorrupt, parsed.error().message};
  return convert(*parsed);
}

int64_t whole_field(const Json& document, const char* name, int64_t fallback) {
  const Json* field = find_field(document, name);
  return field != nullptr && field->is_number_integer() ? field->get<int64_t>() : fallback;
}

double decimal_field(const Json& document, const char* name, double fallback) {
  const Json* field = find_field(document, name);
  return field != nullptr && field->is_number() ? field->get<double>() : fallback;
}

std::string text_field(const Json& document, const char* name, const char* fallback) {
  const Json* field = find_field(document, name);
  return field != nullptr && field->is_string() ? field->get<std::string>() : fallback;
}

Json list_field(const Json& document, const char* name) {
  const Json* field = find_field(document, name);
  return field != nullptr && field->is_array() ? *field : Json::array();
}

Json object_field(const Json& document, const char* name) {
  const Json* field = find_field(document, name);
  return field != nullptr && field->is_object() ? *field : Json::object();
}

}  // namespace potluck
