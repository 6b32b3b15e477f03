// /api/chat and /api/generate: events to the answers of Ollama's API; and what it says of the
// model. Pure.
#pragma once

#include <string>

#include "coordinator/serving/http/answer_identity.h"
#include "coordinator/serving/http/answer_writer.h"
#include "coordinator/serving/http/json_object.h"

namespace potluck {

// An object with the message under "error".
JsonValue ollama_error(const ApiError& error);

JsonValue ollama_tags(const ServedModel& model);
JsonValue ollama_show(const ServedModel& model);
JsonValue ollama_running(const ServedModel& model);

// One object, or a line for each piece. `identity.created` is when the request came.
class OllamaWriter final : public AnswerWriter {
 public:
  enum class Form { kChat, kGenerate };
  OllamaWriter(AnswerIdentity identity, Form form, bool stream)
      : identity_(std::move(identity)), form_(form), stream_(stream), silence_(say({})) {}

  bool streams() const override { return stream_; }
  std::string take(size_t choice, const CompletionEvent& event) override;
  bool done() const override { return done_; }
  void answered_by(const std::string& model) override {
    identity_.model = model;
    silence_ = say({});
  }
  std::string failure(const ApiError& error) const override;
  std::string_view content_type() const override;
  // There are no comments in lines of JSON, so this is a line that says nothing.
  std::string_view idle_comment() const override { return silence_; }
  std::string waiting(const CompletionQueued& /*queued*/) const override { return {}; }

  // The answer to a request that asks for nothing.
  JsonValue loaded() const;

 private:
  JsonObject begin() const;
  void add_piece(const AnswerPiece& piece, JsonObject* into) const;
  std::string say(const AnswerPiece& piece) const;
  std::string finish(const CompletionFinished& finished);

  AnswerIdentity identity_;
  const Form form_;
  const bool stream_;
  std::string silence_;
  AnswerPiece said_;  // what a whole answer holds
  bool done_ = false;
};

}  // namespace potluck
