// The stream of Anthropic's Messages. See AnswerEvents.
#pragma once

#include "coordinator/upstream/answer_events.h"

namespace potluck {

class AnthropicEvents final : public AnswerEvents {
 protected:
  Status read(const JsonValue& event, AnswerPiece* piece) override;

 private:
  Status read_begin(const JsonValue& event);
  Status read_block(const JsonValue& event, AnswerPiece* piece);
  Status read_delta(const JsonValue& event, AnswerPiece* piece);
  void read_end(const JsonValue& event);
};

}  // namespace potluck
