// What a template expects and how its model answers is found by rendering small conversations and
// looking at the result: nothing in a model file says it, and a list of known models would always
// be behind.
#include "engine/chat/chat_template.h"

#include "engine/template/interpreter.h"
#include "engine/template/parser.h"

namespace potluck {
namespace {

// Stands in the small conversations of find_form() where the template should show it. No template
// writes this by itself.
constexpr const char* kNeedle = "needle-7f3a";

bool shows_needle(const Result<MarkedText>& rendered) {
  return rendered && rendered->bytes().find(kNeedle) != std::string_view::npos;
}

Conversation text_conversation() {
  Conversation conversation;
  conversation.messages.push_back({"user", {std::string(kNeedle)}, {}, {}, {}, {}});
  return conversation;
}

Conversation call_conversation() {
  Conversation conversation;
  conversation.messages.push_back({"user", {std::string("Hello")}, {}, {}, {}, {}});
  ChatMessage call{"assistant", {std::string()}, {}, {}, {}, {}};
  JsonValue::Object arguments{{"key", JsonValue{std::string(kNeedle)}}};
  // Nine letters and digits: Mistral's templates refuse ids of another form.
  call.tool_calls.push_back({"call12345", "look", JsonValue{std::move(arguments)}});
  conversation.messages.push_back(std::move(call));
  return conversation;
}

}  // namespace

struct ChatTemplate::Tree {
  Block block;
};

ChatTemplate::ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  auto block = parse_template(source);
  if (!block) return block.error();
  ChatTemplate made;
  made.tree_ = std::make_unique<const Tree>(Tree{std::move(*block)});
  made.find_form();
  made.find_answer_syntax(source);
  return made;
}

// Most templates take contents as texts and arguments as objects. Where the probe gets lost in that
// form but shows in the other one, the other form is used.
void ChatTemplate::find_form() {
  const auto needs = [this](const Conversation& probe, ConversationForm other) {
    return !shows_needle(render(probe, {}, form_)) && shows_needle(render(probe, {}, other));
  };
  if (needs(text_conversation(), {true, false})) form_.parts = true;
  if (needs(call_conversation(), {form_.parts, true})) form_.text_arguments = true;
}

void ChatTemplate::find_answer_syntax(std::string_view source) {
  answer_syntax_.reasoning = find_reasoning_marks(source);
  auto probe = render(tool_call_probe(), {});
  auto counterprobe = render(tool_call_counterprobe(), {});
  if (!probe || !counterprobe) return;
  answer_syntax_.calls = find_tool_call_syntax(probe->bytes(), counterprobe->bytes());
}

Result<MarkedText> ChatTemplate::render(const Conversation& conversation,
                                        const TemplateSetting& setting) const {
  return render(conversation, setting, form_);
}

Result<MarkedText> ChatTemplate::render(const Conversation& conversation,
                                        const TemplateSetting& setting,
                                        ConversationForm form) const {
  Heap heap;
  Interpreter interpreter(&heap, setting.local_seconds);
  interpreter.set_variable("bos_token", heap.text(setting.bos_token, Trust::kTemplate));
  interpreter.set_variable("eos_token", heap.text(setting.eos_token, Trust::kTemplate));
  interpreter.set_variable("add_generation_prompt", Value::of(conversation.add_generation_prompt));
  auto messages = messages_value(conversation.messages, form, &heap);
  if (!messages) return messages.error();
  interpreter.set_variable("messages", *messages);
  // Left undefined without tools: templates ask "tools is defined", and an empty list would make
  // some of them write a heading.
  if (!conversation.tools.empty()) {
    Values tools = heap.values();
    for (const JsonValue& tool : conversation.tools) {
      auto value = heap.from_json(tool, Trust::kUser);
      if (!value) return value.error().in("tools");
      tools.push_back(std::move(*value));
    }
    interpreter.set_variable("tools", heap.list(std::move(tools)));
  }
  for (const auto& [name, json] : conversation.arguments) {
    auto value = heap.from_json(json, Trust::kUser);
    if (!value) return value.error().in(name);
    interpreter.set_variable(name, *value);
  }
  return interpreter.run(tree_->block);
}

}  // namespace potluck
