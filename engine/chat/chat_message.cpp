#include "engine/chat/chat_message.h"

namespace potluck {

const std::string* text_of_part(const JsonValue& part) {
  const std::string* text = nullptr;
  bool is_text = false;
  if (part.object() == nullptr) return nullptr;
  for (const auto& [name, value] : *part.object()) {
    if (name == "type") is_text = value.text() != nullptr && *value.text() == "text";
    if (name == "text") text = value.text();
  }
  return is_text ? text : nullptr;
}

std::string text_of_content(const JsonValue& content) {
  if (content.text() != nullptr) return *content.text();
  std::string all;
  if (content.array() == nullptr) return all;
  for (const JsonValue& part : *content.array()) {
    if (const std::string* piece = text_of_part(part)) all += *piece;
  }
  return all;
}

}  // namespace potluck
