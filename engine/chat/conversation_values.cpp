#include "engine/chat/conversation_values.h"

#include <algorithm>
#include <array>

#include "engine/template/serialize.h"

namespace potluck {
namespace {

// Templates build control tokens from these ("<|" + role + "|>"), so they must be trusted. That is
// safe: a client that picks one of them gains nothing that an ordinary message does not have.
constexpr std::array<std::string_view, 6> kRoles{"system",    "developer", "user",
                                                 "assistant", "tool",      "function"};

bool is_known_role(std::string_view role) {
  return std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end();
}

class Converter {
 public:
  Converter(ConversationForm form, Heap* heap) : form_(form), heap_(*heap) {}

  Result<Value> message(const ChatMessage& message) {
    Map* map = heap_.map();
    const bool known = is_known_role(message.role);
    auto role = known ? heap_.text(message.role, Trust::kTemplate) : text(message.role);
    if (!role) return role.error();
    heap_.set(map, "role", *role);
    const bool joins = form_.joined_thinking && !message.tool_calls.empty();
    auto body = joins ? text("") : content(message);
    if (!body) return body.error();
    heap_.set(map, "content", *body);
    const auto reasoning = joins ? joined_thinking(message) : message.reasoning_content;
    const bool is_result = message.tool_call_id || message.role == "tool";
    const auto id = form_.short_ids && is_result
                        ? std::optional(short_call_id(message.tool_call_id.value_or("")))
                        : message.tool_call_id;
    for (const auto& [name, field] :
         {std::pair{form_.thinking ? "thinking" : "reasoning_content", &reasoning},
          std::pair{"tool_call_id", &id}, std::pair{"name", &message.name}}) {
      if (!field->has_value()) continue;
      auto value = text(**field);
      if (!value) return value.error();
      heap_.set(map, name, *value);
    }
    // Left undefined, as for `tools`: templates ask "message.tool_calls is defined".
    if (message.tool_calls.empty()) return Value::of(map);
    Values calls = heap_.values();
    for (const ToolCall& call : message.tool_calls) {
      auto value = tool_call(call);
      if (!value) return value.error();
      calls.push_back(std::move(*value));
    }
    heap_.set(map, "tool_calls", heap_.list(std::move(calls)));
    return Value::of(map);
  }

 private:
  // Through from_json(), which checks that it is UTF-8.
  Result<Value> text(const std::string& bytes) {
    return heap_.from_json(JsonValue{bytes}, Trust::kUser);
  }

  // Templates that take either the reasoning or the text beside calls write them to the same place.
  static std::optional<std::string> joined_thinking(const ChatMessage& message) {
    std::string all = message.reasoning_content.value_or("");
    const std::string said = text_of_content(message.content);
    if (!all.empty() && !said.empty()) all += "\n\n";
    all += said;
    return all.empty() ? std::nullopt : std::optional(std::move(all));
  }

  // What says nothing is an empty text, or null beside calls: as the template takes it.
  Result<Value> content(const ChatMessage& message) {
    const std::string* whole = message.content.text();
    if (!message.content.is_null() && (whole == nullptr || !whole->empty())) {
      return content(message.content);
    }
    const bool is_null = form_.null_content && !message.tool_calls.empty();
    return content(is_null ? JsonValue{} : JsonValue{std::string()});
  }

  // A list of text parts alone becomes one text, or a text becomes a list, as the template takes
  // it.
  Result<Value> content(const JsonValue& content) {
    const std::string* whole = content.text();
    if (form_.parts && whole != nullptr) return one_part(*whole);
    if (form_.parts || content.array() == nullptr) return heap_.from_json(content, Trust::kUser);
    MarkedText joined = heap_.blank();
    for (const JsonValue& part : *content.array()) {
      const std::string* piece = text_of_part(part);
      if (piece == nullptr) return heap_.from_json(content, Trust::kUser);
      auto checked = text(*piece);
      if (!checked) return checked.error();
      joined.append(*checked->text());
    }
    return heap_.text(std::move(joined));
  }

  Result<Value> one_part(const std::string& bytes) {
    auto piece = text(bytes);
    if (!piece) return piece.error();
    Map* part = heap_.map();
    heap_.set(part, "type", heap_.text("text", Trust::kTemplate));
    heap_.set(part, "text", *piece);
    Values parts = heap_.values();
    parts.push_back(Value::of(part));
    return heap_.list(std::move(parts));
  }

  Result<Value> tool_call(const ToolCall& call) {
    Map* function = heap_.map();
    auto name = text(call.name);
    if (!name) return name.error();
    heap_.set(function, "name", *name);
    auto given = arguments(call.arguments);
    if (!given) return given.error();
    heap_.set(function, "arguments", *given);
    Map* map = heap_.map();
    if (!call.id.empty() || form_.short_ids) {
      auto id = text(form_.short_ids ? short_call_id(call.id) : call.id);
      if (!id) return id.error();
      heap_.set(map, "id", *id);
    }
    heap_.set(map, "type", heap_.text("function", Trust::kTemplate));
    heap_.set(map, "function", Value::of(function));
    return Value::of(map);
  }

  Result<Value> arguments(const JsonValue& json) {
    Result<Value> value = heap_.from_json(json, Trust::kUser);
    if (const std::string* written = json.text(); written != nullptr && !form_.text_arguments) {
      auto object = heap_.parse_json(*written, Trust::kUser);
      // Clients of OpenAI's API send arguments as JSON text; templates mostly go through an object.
      // What is no object stays a text.
      if (object && object->map() != nullptr) value = std::move(object);
    }
    // Templates that go through them fail at anything else, and with them every later turn.
    if (value && form_.object_arguments && value->map() == nullptr) {
      Map* map = heap_.map();
      heap_.set(map, "arguments", *value);
      value = Value::of(map);
    }
    // A template that takes text would print an object in Python's form, with single quotes, which
    // is no JSON.
    if (!value || !form_.text_arguments || value->text() != nullptr) return value;
    auto written = to_json(*value, {}, &heap_.budget());
    if (!written) return written.error();
    return heap_.text(std::move(*written));
  }

  ConversationForm form_;
  Heap& heap_;
};

}  // namespace

Result<Value> messages_value(const std::vector<ChatMessage>& messages, ConversationForm form,
                             Heap* heap) {
  if (form.single_calls || form.parted_text) {
    const std::vector<ChatMessage> parted = parted_messages(messages, form);
    form.single_calls = false;
    form.parted_text = false;
    return messages_value(parted, form, heap);
  }
  Converter converter(form, heap);
  Values values = heap->values();
  for (size_t i = 0; i < messages.size(); ++i) {
    auto value = converter.message(messages[i]);
    if (!value) return value.error().in(fmt::format("message {}", i + 1));
    values.push_back(std::move(*value));
    if (Status status = heap->budget().check(); !status) return status.error();
  }
  return heap->list(std::move(values));
}

}  // namespace potluck
