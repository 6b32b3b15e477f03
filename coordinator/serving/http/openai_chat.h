// /v1/chat/completions: requests to CompletionRequests, events to answers. Pure.
#pragma once

#include <memory>
#include <vector>

#include "coordinator/serving/http/answer_writer.h"
#include "coordinator/serving/http/openai_answer.h"
#include "coordinator/serving/http/openai_logprobs.h"
#include "coordinator/serving/http/openai_request.h"

namespace potluck {

OpenAiParsed parse_chat_request(const JsonValue& body, const RequestSetting& setting);

// "tool_calls" of a message, or of a delta if each is to have its index, counted from `first`.
JsonValue tool_calls_json(const std::vector<ToolCall>& calls, std::optional<size_t> first_index);

// One "chat.completion" object.
class ChatBodyWriter final : public AnswerWriter {
 public:
  ChatBodyWriter(AnswerIdentity identity, const OpenAiRequest& request);

  bool streams() const override { return false; }
  std::string take(size_t choice, const CompletionEvent& event) override;
  bool done() const override { return finished_.all(); }
  void answered_by(const std::string& model) override { identity_.model = model; }

 private:
  struct Choice {
    AnswerPiece said;
    std::vector<ChosenLogprob> logprobs;
  };
  JsonValue choice_json(size_t index) const;

  AnswerIdentity identity_;
  const bool logprobs_;
  std::vector<Choice> choices_;
  FinishedChoices finished_;
};

// "chat.completion.chunk" objects: for each choice its role, what it says, why it ended; then usage
// if it was asked for.
class ChatStreamWriter final : public AnswerWriter {
 public:
  ChatStreamWriter(AnswerIdentity identity, const OpenAiRequest& request);

  bool streams() const override { return true; }
  std::string take(size_t choice, const CompletionEvent& event) override;
  bool done() const override { return finished_.all(); }
  void answered_by(const std::string& model) override { identity_.model = model; }

 private:
  struct Choice {
    bool begun = false;
    size_t calls = 0;        // that are whole,
    size_t begun_calls = 0;  // and that the client knows of
    TokenTexts texts;
  };

  std::string begin(size_t index);
  std::string progress(size_t index, const CompletionProgress& progress) const;
  std::string say(size_t index, const CompletionDelta& delta);
  std::string finish(size_t index, const CompletionFinished& finished);
  std::string chunk(size_t index, JsonValue delta, JsonValue logprobs, JsonValue finish_reason,
                    bool timings = false) const;

  AnswerIdentity identity_;
  const bool include_usage_;
  const bool return_progress_;
  const bool logprobs_;
  std::vector<Choice> choices_;
  FinishedChoices finished_;
};

}  // namespace potluck
