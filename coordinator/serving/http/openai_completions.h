// /v1/completions: text or tokens that are continued as they stand. Pure.
#pragma once

#include <memory>
#include <vector>

#include "coordinator/serving/http/answer_writer.h"
#include "coordinator/serving/http/openai_answer.h"
#include "coordinator/serving/http/openai_logprobs.h"
#include "coordinator/serving/http/openai_request.h"

namespace potluck {

OpenAiParsed parse_completions_request(const JsonValue& body, const RequestSetting& setting);

// "text_completion" objects, one or a stream of them. Reasoning and calls are text here, and do not
// come: there is no template that could have marked them.
class TextWriter final : public AnswerWriter {
 public:
  TextWriter(AnswerIdentity identity, const OpenAiRequest& request);

  bool streams() const override { return stream_; }
  std::string take(size_t choice, const CompletionEvent& event) override;
  bool done() const override { return finished_.all(); }
  void answered_by(const std::string& model) override { identity_.model = model; }

 private:
  struct Choice {
    std::string text;  // not sent yet
    LegacyLogprobs logprobs;
  };

  void keep(size_t index, const CompletionDelta& delta);
  JsonValue take_choice(size_t index, JsonValue finish_reason);
  std::string chunk(size_t index, JsonValue finish_reason);
  std::string stream_end();
  std::string whole();

  AnswerIdentity identity_;
  const bool stream_;
  const bool include_usage_;
  const bool logprobs_;
  const size_t choices_per_prompt_;
  std::vector<Choice> choices_;
  FinishedChoices finished_;
};

}  // namespace potluck
