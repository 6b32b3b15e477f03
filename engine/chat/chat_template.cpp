// What a template expects and how its model answers is found by rendering small conversations and
// looking at the result: nothing in a model file says it, and a list of known models would always
// be behind.
#include "engine/chat/chat_template.h"

#include "engine/chat/call_probe.h"
#include "engine/chat/known_syntaxes.h"
#include "engine/template/interpreter.h"
#include "engine/template/parser.h"

namespace potluck {
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

void ChatTemplate::find_form() {
  form_ = find_conversation_form(
      [this](const Conversation& probe, ConversationForm form) { return render(probe, {}, form); });
}

void ChatTemplate::find_answer_syntax(std::string_view source) {
  if (writes_channels(source)) {
    answer_syntax_.has_channels = true;
    return;
  }
  answer_syntax_.reasoning = find_reasoning_marks(source);
  answer_syntax_.calls =
      find_call_syntax([this](const Conversation& probe) -> std::optional<std::string> {
        // As messages of their own, calls would show nothing of what stands between two.
        if (form_.single_calls && probe.messages.back().tool_calls.size() > 1) return std::nullopt;
        auto rendered = render(probe, {});
        if (!rendered) return std::nullopt;
        return std::string(rendered->bytes());
      });
  if (!answer_syntax_.calls) answer_syntax_.calls = known_call_syntax(source);
  if (!answer_syntax_.calls || !answer_syntax_.calls->bare) return;
  answer_syntax_.calls->begin = known_call_prefix(source);
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
