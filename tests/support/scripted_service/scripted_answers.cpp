#include "tests/support/scripted_service/scripted_answers.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/template/json.h"

namespace potluck::test {
namespace {

constexpr size_t kFloodBytes = 8192;  // at a time

std::string text_of(const JsonValue& content) {
  if (content.text() != nullptr) return *content.text();
  std::string text;
  if (content.array() == nullptr) return text;
  for (const JsonValue& part : *content.array()) {
    if (part.object() == nullptr) continue;
    for (const auto& [name, value] : *part.object()) {
      if (name == "text" && value.text() != nullptr) text += *value.text();
    }
  }
  return text;
}

std::string last_text(const CompletionPrompt& prompt) {
  if (const auto* text = std::get_if<std::string>(&prompt)) return *text;
  if (const auto* tokens = std::get_if<std::vector<TokenId>>(&prompt)) {
    return std::to_string(tokens->size()) + " tokens";
  }
  return text_of(std::get<Conversation>(prompt).messages.back().content);
}

bool may_call(const CompletionPrompt& prompt) {
  const auto* conversation = std::get_if<Conversation>(&prompt);
  return conversation != nullptr && !conversation->tools.empty() &&
         conversation->messages.back().role == "user";
}

// The tool of that name among those of the request, and what its one argument is called by coding
// agents of today; some take a list of commands.
struct Shell {
  const char* tool;
  const char* argument;
  bool takes_list = false;
};
constexpr Shell kShells[] = {{"exec_command", "cmd"},
                             {"bash", "command"},
                             {"Bash", "command"},
                             {"run_commands", "commands", true}};
constexpr const char* kShellCommand = "echo said by the shell > shell.txt; cat shell.txt";

bool has_tool(const CompletionRequest& request, std::string_view name) {
  const auto* conversation = std::get_if<Conversation>(&request.prompt);
  if (conversation == nullptr) return false;
  return std::ranges::any_of(conversation->tools, [&](const JsonValue& tool) {
    return write_json(tool).find(fmt::format("\"name\": \"{}\"", name)) != std::string::npos;
  });
}

// Each with the blank before it, as tokens of most vocabularies are.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin + 1), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

ChosenLogprob logprob_of(const std::string& word, uint32_t alternatives) {
  ChosenLogprob chosen{{word, -0.25}, {}};
  for (uint32_t i = 0; i < alternatives; ++i) {
    chosen.top.push_back({i == 0 ? word : word + std::to_string(i), -0.25 - i});
  }
  return chosen;
}

class Answer {
 public:
  explicit Answer(const CompletionRequest& request) : request_(request) {
    prompt_tokens_ = static_cast<uint32_t>(last_text(request.prompt).size());
    events_.push_back(CompletionAdmitted{prompt_tokens_});
    events_.push_back(CompletionProgress{prompt_tokens_, prompt_tokens_});
  }

  void say(const std::string& text) {
    std::string whole = text;
    for (const std::string& stop : request_.stop) {
      if (const size_t at = whole.find(stop); at != std::string::npos) {
        whole.resize(at);
        reason_ = FinishReason::kStopString;
      }
    }
    for (const std::string& word : words_of(whole)) {
      if (request_.max_tokens > 0 && tokens_ == request_.max_tokens) {
        reason_ = FinishReason::kLength;
        return;
      }
      add({{}, word, {}}, word);
    }
  }
  void reason(const std::string& text) {
    for (const std::string& word : words_of(text)) add({word, {}, {}}, word);
  }
  void call(ToolCall call) {
    add({{}, {}, {std::move(call)}}, "");
    reason_ = FinishReason::kToolCalls;
  }
  std::vector<CompletionEvent> finished() {
    CompletionFinished finished;
    finished.reason = reason_;
    finished.usage = {prompt_tokens_, prompt_tokens_ / 2, tokens_};
    finished.prefill_seconds = 0.5;
    finished.decode_seconds = 0.25;
    events_.push_back(finished);
    return std::move(events_);
  }
  std::vector<CompletionEvent> unfinished() { return std::move(events_); }
  std::vector<CompletionEvent> failed(const char* message) {
    events_.push_back(CompletionFailed{CompletionFault::kInternal, message});
    return std::move(events_);
  }

 private:
  void add(AnswerPiece piece, const std::string& word) {
    CompletionDelta delta{std::move(piece), {}};
    if (request_.top_logprobs) delta.logprobs.push_back(logprob_of(word, *request_.top_logprobs));
    events_.push_back(std::move(delta));
    ++tokens_;
  }

  const CompletionRequest& request_;
  std::vector<CompletionEvent> events_;
  uint32_t prompt_tokens_ = 0;
  uint32_t tokens_ = 0;
  FinishReason reason_ = FinishReason::kStop;
};

}  // namespace

std::vector<CompletionEvent> ScriptedAnswers::operator()(const CompletionRequest& request) {
  const std::string text = last_text(request.prompt);
  const auto asks = [&](const char* what) { return text.find(what) != std::string::npos; };
  if (asks("fail now")) return {CompletionFailed{CompletionFault::kInternal, "it failed"}};
  if (asks("too long")) {
    return {CompletionFailed{CompletionFault::kTooLong, "the prompt has 5000 tokens", 5000, 4096}};
  }
  if (asks("overload") && overloads_++ % 2 == 0) {
    return {CompletionFailed{CompletionFault::kOverloaded, "8 requests are waiting", 0, 0, 1}};
  }
  Answer answer(request);
  if (asks("fail later")) {
    answer.say("one two three");
    return answer.failed("it failed");
  }
  if (asks("forever")) {
    answer.say(asks("flood") ? std::string(kFloodBytes, 'x') : " on");
    return answer.unfinished();
  }
  if (asks("weather") && may_call(request.prompt)) {
    for (const char* city : {"Oslo", "Rome"}) {
      answer.call({"call_" + std::to_string(++calls_), "get_weather",
                   JsonValue{JsonValue::Object{{"city", JsonValue{std::string(city)}}}}});
      if (!asks("both")) break;
    }
    return answer.finished();
  }
  if (asks("use the shell") && may_call(request.prompt)) {
    for (const Shell& shell : kShells) {
      if (!has_tool(request, shell.tool)) continue;
      JsonValue command{std::string(kShellCommand)};
      if (shell.takes_list) command = JsonValue{JsonValue::Array{command}};
      answer.call({"call_" + std::to_string(++calls_), shell.tool,
                   JsonValue{JsonValue::Object{
                       {shell.argument, command},
                       {"description", JsonValue{std::string("Says something")}}}}});
      return answer.finished();
    }
  }
  if (asks("think")) answer.reason("let me see");
  answer.say("You said: " + text);
  return answer.finished();
}

}  // namespace potluck::test
