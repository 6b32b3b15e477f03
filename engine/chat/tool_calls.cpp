// The syntax of calls is learned from the template: it writes one conversation with a call and the
// same one with a plain answer, and what only the first has is the call and its marks.
#include "engine/chat/tool_calls.h"

#include <algorithm>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

constexpr const char* kProbeName = "probe_7f3a";
constexpr const char* kProbeKey = "key_7f3a";
constexpr const char* kProbeValue = "value_7f3a";
// Shares neither its beginning nor its end with any mark.
constexpr const char* kCounterprobe = "7f3a";

// What a template writes is from a model file, and may be braces by the million. Real marks have
// some dozens of bytes, and few braces between the object's and the name.
constexpr size_t kMostBegins = 32;
constexpr size_t kMostCallBytes = 64 * kKiB;
constexpr size_t kMostMarkBytes = kKiB;

const JsonValue* member(const JsonValue::Object& object, std::string_view key) {
  auto found = std::ranges::find_if(object, [&](const auto& entry) { return entry.first == key; });
  return found == object.end() ? nullptr : &found->second;
}

bool is_probe_arguments(const JsonValue& value) {
  if (value.text() != nullptr) {
    // Some templates write the arguments as a text that holds JSON.
    auto inner = parse_json(*value.text());
    return inner && inner->object() != nullptr && is_probe_arguments(*inner);
  }
  if (value.object() == nullptr || value.object()->size() != 1) return false;
  const auto& [key, content] = value.object()->front();
  return key == kProbeKey && content.text() != nullptr && *content.text() == kProbeValue;
}

// Sets the keys if `text` is one JSON object that holds the probe's name and arguments.
bool is_probe_call(std::string_view text, ToolCallSyntax* syntax) {
  auto parsed = parse_json(text);
  if (!parsed || parsed->object() == nullptr) return false;
  syntax->name_key.clear();
  syntax->arguments_key.clear();
  for (const auto& [key, value] : *parsed->object()) {
    if (value.text() != nullptr && *value.text() == kProbeName) syntax->name_key = key;
    if (is_probe_arguments(value)) syntax->arguments_key = key;
  }
  return !syntax->name_key.empty() && !syntax->arguments_key.empty();
}

// The JSON object that `text`, which begins with a brace, begins with; empty if it does not end.
// Whether it is JSON at all is not looked at: if it is, it ends here and nowhere else.
std::string_view first_object(std::string_view text) {
  size_t depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == '{') {
      ++depth;
    } else if (!quoted && c == '}' && --depth == 0) {
      return text.substr(0, i + 1);
    }
  }
  return {};
}

// Lists of calls, and calls without a closing mark, are other syntaxes.
bool is_marked(const ToolCallSyntax& syntax) {
  const auto is_mark = [](const std::string& text) {
    return !text.empty() && text.size() <= kMostMarkBytes;
  };
  return is_mark(syntax.open) && is_mark(syntax.close) && !syntax.open.ends_with('[') &&
         !syntax.close.starts_with(']');
}

// The part of the first text that the second does not have.
std::string_view difference(std::string_view first, std::string_view second) {
  const size_t shorter = std::min(first.size(), second.size());
  size_t front = 0;
  while (front < shorter && first[front] == second[front]) ++front;
  size_t back = 0;
  while (back < shorter - front &&
         first[first.size() - 1 - back] == second[second.size() - 1 - back]) {
    ++back;
  }
  return first.substr(front, first.size() - front - back);
}

Conversation probe_conversation(ChatMessage answer) {
  Conversation conversation;
  conversation.messages.push_back({"user", {std::string("Hello")}, {}, {}, {}, {}});
  conversation.messages.push_back(std::move(answer));
  conversation.add_generation_prompt = false;
  return conversation;
}

}  // namespace

Conversation tool_call_probe() {
  ChatMessage answer{"assistant", {std::string()}, {}, {}, {}, {}};
  JsonValue::Object arguments{{kProbeKey, JsonValue{std::string(kProbeValue)}}};
  answer.tool_calls.push_back({"call12345", kProbeName, JsonValue{std::move(arguments)}});
  return probe_conversation(std::move(answer));
}

Conversation tool_call_counterprobe() {
  return probe_conversation({"assistant", {std::string(kCounterprobe)}, {}, {}, {}, {}});
}

// The object begins at the last brace before the name from which it is whole JSON with the name in
// it: marks may hold braces of their own.
std::optional<ToolCallSyntax> find_tool_call_syntax(std::string_view probe,
                                                    std::string_view counterprobe) {
  const std::string_view call = difference(probe, counterprobe);
  const size_t name = call.find(kProbeName);
  if (name == std::string_view::npos || call.find(kProbeValue) == std::string_view::npos) {
    return std::nullopt;
  }
  size_t begin = name;
  for (size_t tried = 0; tried < kMostBegins && begin > 0; ++tried) {
    begin = call.rfind('{', begin - 1);
    if (begin == std::string_view::npos) break;
    const std::string_view object = first_object(call.substr(begin, kMostCallBytes));
    ToolCallSyntax syntax;
    if (begin + object.size() <= name || !is_probe_call(object, &syntax)) continue;
    syntax.open = trimmed(call.substr(0, begin));
    syntax.close = trimmed(call.substr(begin + object.size()));
    return is_marked(syntax) ? std::optional(syntax) : std::nullopt;
  }
  return std::nullopt;
}

void ToolCallSplitter::emit(std::string_view text, SplitCalls* split) {
  if (skips_space_) {
    const size_t first = text.find_first_not_of(kWhiteSpace);
    text.remove_prefix(std::min(first, text.size()));
    skips_space_ = text.empty();
  }
  split->content += text;
}

std::optional<ToolCall> ToolCallSplitter::parse_call(std::string_view body) const {
  auto parsed = parse_json(trimmed(body));
  if (!parsed || parsed->object() == nullptr) return std::nullopt;
  const JsonValue* name = member(*parsed->object(), syntax_->name_key);
  const JsonValue* arguments = member(*parsed->object(), syntax_->arguments_key);
  if (name == nullptr || name->text() == nullptr || name->text()->empty()) return std::nullopt;
  ToolCall call{"", *name->text(), JsonValue{JsonValue::Object()}};
  if (arguments != nullptr && !arguments->is_null()) call.arguments = *arguments;
  return call;
}

// One step on what is pending; false when more text is needed.
bool ToolCallSplitter::advance(SplitCalls* split) {
  if (!in_call_) {
    const size_t open = pending_.find(syntax_->open);
    if (open == std::string::npos) {
      const size_t certain = pending_.size() - uncertain_end(pending_, syntax_->open);
      emit(std::string_view(pending_).substr(0, certain), split);
      pending_.erase(0, certain);
      return false;
    }
    // The white space in front of a mark is kept aside: if what follows is no call, it belongs to
    // the text again.
    const size_t before = without_space_at_end(std::string_view(pending_).substr(0, open)).size();
    emit(std::string_view(pending_).substr(0, before), split);
    space_before_ = pending_.substr(before, open - before);
    pending_.erase(0, open);
    in_call_ = true;
  }
  const size_t close = pending_.find(syntax_->close, syntax_->open.size());
  if (close == std::string::npos) return false;
  const std::string_view whole =
      std::string_view(pending_).substr(0, close + syntax_->close.size());
  auto call = parse_call(whole.substr(syntax_->open.size(), close - syntax_->open.size()));
  if (call) {
    split->calls.push_back(std::move(*call));
    skips_space_ = true;
  } else {
    // Nothing that the model wrote is lost: what does not parse is text.
    emit(space_before_ + std::string(whole), split);
  }
  pending_.erase(0, whole.size());
  in_call_ = false;
  return true;
}

SplitCalls ToolCallSplitter::push(std::string_view text) {
  SplitCalls split;
  if (!syntax_) {
    split.content = text;
    return split;
  }
  pending_ += text;
  while (advance(&split)) {
  }
  return split;
}

SplitCalls ToolCallSplitter::finish() {
  SplitCalls split;
  emit((in_call_ ? space_before_ : std::string()) + std::exchange(pending_, {}), &split);
  in_call_ = false;
  return split;
}

}  // namespace potluck
