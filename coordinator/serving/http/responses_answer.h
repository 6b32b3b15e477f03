// /v1/responses: events to the answers of OpenAI's Responses API. Pure but for what it hands to
// those that keep answers.
#pragma once

#include <functional>
#include <string>

#include "coordinator/serving/http/answer_blocks.h"
#include "coordinator/serving/http/answer_identity.h"
#include "coordinator/serving/http/answer_writer.h"
#include "coordinator/serving/http/json_object.h"
#include "coordinator/serving/http/openai_logprobs.h"

namespace potluck {

// What both forms of an answer are made of.
struct ResponsesAnswer {
  AnswerIdentity identity;
  JsonValue::Object echo;  // members of the request
  // Told the finished response and what the model said; may be empty.
  std::function<void(const std::string& json, ChatMessage said)> keep;

  JsonValue in_progress() const;
  JsonValue finished(const CompletionFinished& finished, const AnswerBlocks& blocks) const;
  JsonValue failed(const ApiError& error, const AnswerBlocks& blocks) const;

  // An item of the output, whole or as a stream begins it.
  JsonValue item(size_t index, const AnswerBlock& block, bool whole) const;
  std::string item_id(size_t index, const AnswerBlock& block) const;
};

class ResponsesBodyWriter final : public AnswerWriter {
 public:
  explicit ResponsesBodyWriter(ResponsesAnswer answer) : answer_(std::move(answer)) {}

  bool streams() const override { return false; }
  std::string take(size_t choice, const CompletionEvent& event) override;
  bool done() const override { return done_; }
  void answered_by(const std::string& model) override { answer_.identity.model = model; }

 private:
  ResponsesAnswer answer_;
  AnswerBlocks blocks_;
  bool done_ = false;
};

class ResponsesStreamWriter final : public AnswerWriter, private BlockListener {
 public:
  explicit ResponsesStreamWriter(ResponsesAnswer answer) : answer_(std::move(answer)) {}

  bool streams() const override { return true; }
  std::string take(size_t choice, const CompletionEvent& event) override;
  bool done() const override { return done_; }
  void answered_by(const std::string& model) override { answer_.identity.model = model; }
  std::string failure(const ApiError& error) const override;

 private:
  void begin();
  void end(const CompletionFinished& finished);
  void event(std::string_view type, JsonObject members);
  // The members that say which item, and which part of it.
  JsonObject place(size_t index, const AnswerBlock& block, bool part) const;

  void opened(size_t index, const AnswerBlock& block) override;
  void grew(size_t index, const AnswerBlock& block, std::string_view text,
            size_t logprobs) override;
  void closed(size_t index, const AnswerBlock& block) override;

  ResponsesAnswer answer_;
  AnswerBlocks blocks_;
  TokenTexts texts_;   // of the block that grows
  std::string bytes_;  // to be sent
  int64_t sequence_ = 0;
  bool begun_ = false;
  bool done_ = false;
};

}  // namespace potluck
