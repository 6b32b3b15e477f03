// An independent reading of JSON schemas: whether a value is valid, keyword by keyword, without
// grammars. For tests; plain functions.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>

namespace potluck::test {

using Json = nlohmann::json;

inline size_t characters_in(const std::string& text) {
  size_t count = 0;
  for (const char byte : text) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

inline bool has_type(const std::string& type, const Json& value) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "number") return value.is_number();
  return value.is_number() && std::floor(value.get<double>()) == value.get<double>();
}

inline bool is_valid(const Json& schema, const Json& value, const Json& root);

inline bool has_valid_members(const Json& schema, const Json& value, const Json& root) {
  if (!value.is_object()) return true;
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name.get<std::string>())) return false;
  }
  const Json properties = schema.value("properties", Json::object());
  for (const auto& [name, member] : value.items()) {
    if (properties.contains(name)) {
      if (!is_valid(properties[name], member, root)) return false;
    } else if (schema.contains("additionalProperties")) {
      if (!is_valid(schema["additionalProperties"], member, root)) return false;
    }
  }
  return true;
}

inline bool has_valid_items(const Json& schema, const Json& value, const Json& root) {
  if (!value.is_array()) return true;
  if (value.size() < schema.value("minItems", size_t{0})) return false;
  if (value.size() > schema.value("maxItems", size_t{1'000'000})) return false;
  const Json prefix = schema.value("prefixItems", Json::array());
  for (size_t i = 0; i < value.size(); ++i) {
    if (i < prefix.size()) {
      if (!is_valid(prefix[i], value[i], root)) return false;
    } else if (schema.contains("items")) {
      if (!is_valid(schema["items"], value[i], root)) return false;
    }
  }
  return true;
}

inline bool is_valid_scalar(const Json& schema, const Json& value) {
  if (value.is_number()) {
    const double number = value.get<double>();
    if (schema.contains("minimum") && number < schema["minimum"].get<double>()) return false;
    if (schema.contains("maximum") && number > schema["maximum"].get<double>()) return false;
    if (schema.contains("exclusiveMinimum") && number <= schema["exclusiveMinimum"].get<double>()) {
      return false;
    }
    if (schema.contains("exclusiveMaximum") && number >= schema["exclusiveMaximum"].get<double>()) {
      return false;
    }
  }
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    if (characters_in(text) < schema.value("minLength", size_t{0})) return false;
    if (characters_in(text) > schema.value("maxLength", size_t{1'000'000})) return false;
    if (schema.contains("pattern") &&
        !std::regex_search(text, std::regex(schema["pattern"].get<std::string>()))) {
      return false;
    }
  }
  return true;
}

inline size_t count_valid(const Json& schemas, const Json& value, const Json& root) {
  size_t count = 0;
  for (const Json& schema : schemas) count += is_valid(schema, value, root) ? 1 : 0;
  return count;
}

inline bool is_valid(const Json& schema, const Json& value, const Json& root) {
  if (schema.is_boolean()) return schema.get<bool>();
  if (schema.contains("$ref")) {
    const auto pointer = schema["$ref"].get<std::string>().substr(1);
    if (!is_valid(root.at(Json::json_pointer(pointer)), value, root)) return false;
  }
  if (schema.contains("type")) {
    const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
    bool any = false;
    for (const Json& type : types) any = any || has_type(type.get<std::string>(), value);
    if (!any) return false;
  }
  if (schema.contains("const") && schema["const"] != value) return false;
  if (schema.contains("enum")) {
    bool any = false;
    for (const Json& one : schema["enum"]) any = any || one == value;
    if (!any) return false;
  }
  if (schema.contains("anyOf") && count_valid(schema["anyOf"], value, root) == 0) return false;
  if (schema.contains("oneOf") && count_valid(schema["oneOf"], value, root) != 1) return false;
  if (schema.contains("allOf") &&
      count_valid(schema["allOf"], value, root) != schema["allOf"].size()) {
    return false;
  }
  return is_valid_scalar(schema, value) && has_valid_members(schema, value, root) &&
         has_valid_items(schema, value, root);
}

}  // namespace potluck::test
