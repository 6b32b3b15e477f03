// /v1/messages: events to the answers of Anthropic's API. Pure.
#pragma once

#include <string>

#include "coordinator/serving/http/answer_blocks.h"
#include "coordinator/serving/http/answer_identity.h"
#include "coordinator/serving/http/answer_writer.h"
#include "coordinator/serving/http/json_object.h"

namespace potluck {

JsonValue anthropic_error(const ApiError& error);

// One "message" object.
class AnthropicBodyWriter final : public AnswerWriter {
 public:
  explicit AnthropicBodyWriter(AnswerIdentity identity) : identity_(std::move(identity)) {}

  bool streams() const override { return false; }
  std::string take(size_t choice, const CompletionEvent& event) override;
  bool done() const override { return done_; }
  void answered_by(const std::string& model) override { identity_.model = model; }

 private:
  AnswerIdentity identity_;
  AnswerBlocks blocks_;
  bool done_ = false;
};

// message_start, then each block's start, deltas and stop, then message_delta and message_stop.
class AnthropicStreamWriter final : public AnswerWriter, private BlockListener {
 public:
  explicit AnthropicStreamWriter(AnswerIdentity identity) : identity_(std::move(identity)) {}

  bool streams() const override { return true; }
  std::string take(size_t choice, const CompletionEvent& event) override;
  bool done() const override { return done_; }
  void answered_by(const std::string& model) override { identity_.model = model; }
  std::string failure(const ApiError& error) const override;
  // Clients take a stream without pings for dead.
  std::string_view idle_comment() const override;

 private:
  void begin(uint32_t prompt_tokens);
  void end(const CompletionFinished& finished);
  void event(std::string_view type, JsonObject members);
  void delta(size_t index, JsonValue delta);

  void opened(size_t index, const AnswerBlock& block) override;
  void grew(size_t index, const AnswerBlock& block, std::string_view text,
            size_t logprobs) override;
  void closed(size_t index, const AnswerBlock& block) override;

  AnswerIdentity identity_;
  AnswerBlocks blocks_;
  std::string bytes_;  // to be sent
  bool begun_ = false;
  bool done_ = false;
};

}  // namespace potluck
