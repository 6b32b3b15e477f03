// Nothing in a model file says what its template takes, and a list of known models would always be
// behind: what is found here is where a probe gets lost, or is refused, in the usual form and shows
// in the other one.
#include "engine/chat/conversation_form.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace potluck {
namespace {

// Stands in the probes where the template should show it. No template writes this by itself.
constexpr const char* kNeedle = "needle-7f3a";
// Mistral's templates refuse ids of another form.
constexpr const char* kShortId = "call12345";
constexpr size_t kShortIdSize = 9;

JsonValue as_text(const char* text) {
  return JsonValue{std::string(text)};
}

JsonValue arguments_with(const char* text) {
  return JsonValue{JsonValue::Object{{"key", as_text(text)}}};
}

ChatMessage user_message(const char* text) {
  return {"user", as_text(text), {}, {}, {}, {}};
}

ChatMessage call_message(JsonValue arguments, const char* id = kShortId) {
  ChatMessage call{"assistant", as_text(""), {}, {}, {}, {}};
  call.tool_calls.push_back({id, "look", std::move(arguments)});
  return call;
}

Conversation after_hello(ChatMessage message) {
  Conversation conversation;
  conversation.messages.push_back(user_message("Hello"));
  conversation.messages.push_back(std::move(message));
  return conversation;
}

class FormFinder {
 public:
  explicit FormFinder(const FormRenderer& render) : render_(render) {}

  ConversationForm find() {
    Conversation text;
    text.messages.push_back(user_message(kNeedle));
    choose(&ConversationForm::parts, text);
    const Conversation call = after_hello(call_message(arguments_with(kNeedle)));
    choose(&ConversationForm::text_arguments, call);
    choose_null_content(call);
    if (!shows(call, form_)) return form_;  // it knows no calls
    choose_ids();
    choose(&ConversationForm::object_arguments, after_hello(call_message(as_text(kNeedle))));
    choose_single_calls();
    choose_parted_text();
    choose_thinking();
    return form_;
  }

 private:
  bool shows(const Conversation& probe, ConversationForm form) const {
    const auto rendered = render_(probe, form);
    return rendered && rendered->bytes().find(kNeedle) != std::string_view::npos;
  }

  void choose(bool ConversationForm::*field, const Conversation& probe) {
    ConversationForm other = form_;
    other.*field = true;
    if (!shows(probe, form_) && shows(probe, other)) form_ = other;
  }

  // Some write an empty message beside the calls, others a null: the shorter one is meant.
  void choose_null_content(const Conversation& call) {
    ConversationForm other = form_;
    other.null_content = true;
    if (!shows(call, form_) && !shows(call, other)) other.text_arguments = true;
    if (!shows(call, other)) return;
    if (!shows(call, form_) ||
        render_(call, other)->bytes().size() < render_(call, form_)->bytes().size()) {
      form_ = other;
    }
  }

  void choose_ids() {
    choose(&ConversationForm::short_ids,
           after_hello(call_message(arguments_with(kNeedle), "call_1")));
  }

  void choose_single_calls() {
    Conversation several = after_hello(call_message(arguments_with("first")));
    several.messages[1].tool_calls.push_back({"call67890", "look", arguments_with(kNeedle)});
    several.messages.push_back({"tool", as_text("seen"), {}, {}, kShortId, {}});
    several.messages.push_back({"tool", as_text("seen"), {}, {}, "call67890", {}});
    choose(&ConversationForm::single_calls, several);
  }

  void choose_parted_text() {
    ChatMessage both = call_message(arguments_with(kNeedle));
    both.content = as_text("I look");
    choose(&ConversationForm::parted_text, after_hello(both));
  }

  void choose_thinking() {
    ChatMessage thought = call_message(arguments_with("look"));
    thought.reasoning_content = kNeedle;
    choose(&ConversationForm::thinking, after_hello(thought));
    if (!form_.thinking) return;
    thought.content = as_text("I look");
    choose(&ConversationForm::joined_thinking, after_hello(thought));
  }

  const FormRenderer& render_;
  ConversationForm form_;
};

bool answers(const ChatMessage& result, const ToolCall& call) {
  return !call.id.empty() && result.tool_call_id == call.id;
}

// By its id; where there are none, they are in the order of the calls.
void take_result(const ToolCall& call, std::vector<ChatMessage>* results,
                 std::vector<ChatMessage>* made) {
  auto result = std::ranges::find_if(
      *results, [&](const ChatMessage& message) { return answers(message, call); });
  if (result == results->end() && call.id.empty()) result = results->begin();
  if (result == results->end()) return;
  made->push_back(*result);
  results->erase(result);
}

bool says_something(const ChatMessage& message) {
  if (message.content.text() != nullptr) return !message.content.text()->empty();
  return message.content.array() != nullptr && !message.content.array()->empty();
}

bool is_short_id(std::string_view id) {
  return id.size() == kShortIdSize && std::ranges::all_of(id, [](char byte) {
           return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                  (byte >= 'a' && byte <= 'z');
         });
}

}  // namespace

ConversationForm find_conversation_form(const FormRenderer& render) {
  return FormFinder(render).find();
}

std::vector<ChatMessage> parted_messages(const std::vector<ChatMessage>& messages,
                                         ConversationForm form) {
  std::vector<ChatMessage> made;
  for (size_t i = 0; i < messages.size(); ++i) {
    ChatMessage next = messages[i];
    const std::vector<ToolCall> calls = next.tool_calls;
    if (form.parted_text && !calls.empty() && says_something(next)) {
      next.tool_calls.clear();
      made.push_back(next);
      next.content = JsonValue{};
      next.reasoning_content.reset();
      next.tool_calls = calls;
    }
    if (!form.single_calls || calls.size() < 2) {
      made.push_back(std::move(next));
      continue;
    }
    std::vector<ChatMessage> results;
    while (i + 1 < messages.size() && messages[i + 1].role == "tool") {
      results.push_back(messages[++i]);
    }
    for (const ToolCall& call : calls) {
      next.tool_calls = {call};
      made.push_back(next);
      next.content = JsonValue{};
      next.reasoning_content.reset();
      take_result(call, &results, &made);
    }
    made.insert(made.end(), results.begin(), results.end());
  }
  return made;
}

std::string short_call_id(std::string_view id) {
  if (is_short_id(id)) return std::string(id);
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  uint64_t hash = 14'695'981'039'346'656'037U;
  for (const char byte : id) hash = (hash ^ static_cast<unsigned char>(byte)) * 1'099'511'628'211U;
  std::string made;
  for (size_t i = 0; i < kShortIdSize; ++i, hash /= kDigits.size()) {
    made += kDigits[hash % kDigits.size()];
  }
  return made;
}

}  // namespace potluck
