// JsonObject: builds a JSON object member by member, for answers. A plain value.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "engine/template/json.h"

namespace potluck {

template <class T>
JsonValue as_json(T&& value) {
  using Plain = std::remove_cvref_t<T>;
  if constexpr (std::same_as<Plain, JsonValue> || std::same_as<Plain, std::nullptr_t> ||
                std::same_as<Plain, bool>) {
    return JsonValue{std::forward<T>(value)};
  } else if constexpr (std::integral<Plain>) {
    return JsonValue{static_cast<int64_t>(value)};
  } else if constexpr (std::floating_point<Plain>) {
    return JsonValue{static_cast<double>(value)};
  } else if constexpr (std::same_as<Plain, JsonValue::Array> ||
                       std::same_as<Plain, JsonValue::Object>) {
    return JsonValue{std::forward<T>(value)};
  } else {
    return JsonValue{std::string(std::forward<T>(value))};
  }
}

class JsonObject {
 public:
  template <class T>
  JsonObject& add(std::string_view key, T&& value) {
    members_.emplace_back(std::string(key), as_json(std::forward<T>(value)));
    return *this;
  }
  JsonValue take() { return JsonValue{std::move(members_)}; }

 private:
  JsonValue::Object members_;
};

}  // namespace potluck
