// Answerer: one way of answering for `run` and `serve`. With a chat template a message is a turn of
// a conversation, tools included; without one it is completed as it stands. One thread; it takes
// the engine's turns itself unless an EngineThread does (GenerationRequest::engine_runs).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/cli/answer_printer.h"
#include "coordinator/cli/chat_flags.h"
#include "coordinator/cli/commands.h"
#include "coordinator/runtime/runtime.h"
#include "coordinator/serving/chat_session.h"

namespace potluck {

// A tool call with its result; without one where nothing answered it.
struct AnsweredCall {
  ToolCall call;
  std::optional<std::string> result;
};

struct Answer {
  GenerationResult result;   // of the last turn
  AnswerPiece text;          // of the last turn
  size_t prompt_tokens = 0;  // computed for it: what the cache held already is not counted
  std::vector<AnsweredCall> calls;

  void take(GeneratedAnswer turn) {
    result = std::move(turn.result);
    text = std::move(turn.text);
    prompt_tokens = turn.usage.prompt_tokens - turn.usage.cached_tokens;
  }
};

// Answers a call; nothing if that is left to the reader of the output.
using ToolAnswerer = std::function<Result<std::optional<std::string>>(const ToolCall& call)>;

class Answerer {
 public:
  // References must outlive it, and so must the store for earlier conversations, if any. Fails if
  // the model has no usable tokenizer, or flags ask for a chat template and there is none that can
  // be used.
  static Result<std::unique_ptr<Answerer>> open(Runtime& runtime, const ChatFlags& flags,
                                                const Environment& environment, Terminal& terminal,
                                                PrefixStore* store = nullptr,
                                                std::string model_id = {});

  bool chats() const { return session_.has_value(); }
  CompletionEngine& engine() { return *engine_; }
  // Calls are then answered, and the model goes on with the results.
  void set_tool_answerer(ToolAnswerer answerer) { answer_tool_ = std::move(answerer); }

  // After an error, and when it was interrupted before the first token, the conversation is as it
  // was.
  Result<Answer> answer(const std::string& message, const GenerationRequest& request,
                        AnswerPrinter* printer);
  // The last message of the conversation once more: what followed it is forgotten, unless this one
  // fails or is interrupted before its first token. Without a conversation, or in an empty one, an
  // error.
  Result<Answer> answer_again(const GenerationRequest& request, AnswerPrinter* printer);
  // Forgets the last message and what followed it; false where there is none.
  bool undo();
  // Forgets all turns.
  void begin_again();
  // The system message from now on, also after begin_again(); nothing: none. Only if it chats().
  void set_system(std::optional<std::string> text);
  // "" where there is none.
  std::string system() const;
  // The messages of the conversation; empty if it does not chat. set_messages() only if it does.
  std::vector<ChatMessage> messages() const;
  void set_messages(std::vector<ChatMessage> messages);

 private:
  Answerer(Runtime& runtime, const ChatFlags& flags, const Environment& environment)
      : runtime_(runtime), flags_(flags), environment_(environment) {}
  Status start_chat(Terminal& terminal);
  void start_engine();
  Status check_template() const;
  Result<Answer> complete(const std::string& prompt, const GenerationRequest& request,
                          AnswerPrinter* printer);
  Result<Answer> chat(const std::string& message, const GenerationRequest& request,
                      AnswerPrinter* printer);
  Result<Answer> chat_from(size_t before, std::vector<ChatMessage> otherwise,
                           const GenerationRequest& request, AnswerPrinter* printer);
  std::optional<size_t> last_question() const;
  Result<Answer> take_turns(const GenerationRequest& request, AnswerPrinter* printer);
  Result<bool> answer_calls(const std::vector<ToolCall>& calls, Answer* answer,
                            AnswerPrinter* printer);

  Runtime& runtime_;
  ChatFlags flags_;
  const Environment& environment_;
  PrefixStore* store_ = nullptr;
  std::string model_id_;  // what the API calls the model; empty: as its file
  std::optional<ChatTemplate> template_;
  std::unique_ptr<CompletionEngine> engine_;
  std::vector<JsonValue> tools_;
  std::optional<ChatSession> session_;
  ToolAnswerer answer_tool_;
};

}  // namespace potluck
