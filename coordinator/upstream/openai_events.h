// The stream of OpenAI's Chat Completions. See AnswerEvents.
#pragma once

#include "coordinator/upstream/answer_events.h"

namespace potluck {

class OpenAiEvents final : public AnswerEvents {
 protected:
  Status read(const JsonValue& event, AnswerPiece* piece) override;

 private:
  Status read_choice(const JsonValue& choice, AnswerPiece* piece);
  Status read_delta(const JsonValue& delta, AnswerPiece* piece);
  Status read_calls(const JsonValue::Array& calls, AnswerPiece* piece);
  void read_usage(const JsonValue& usage);

  std::optional<int64_t> call_index_;  // of the call that is being written
};

}  // namespace potluck
