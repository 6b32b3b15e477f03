// ChatSession: a conversation with a model through its chat template. Each answer prefills only
// what the engine does not know yet; the tokens are those that a fresh engine would give. One
// thread, which owns the engine.
#pragma once

#include <string>

#include "coordinator/serving/generator.h"

namespace potluck {

struct ChatAnswer {
  GenerationResult result;
  AnswerPiece text;            // all of it; calls have ids
  uint32_t prompt_tokens = 0;  // of the whole conversation
  uint32_t cached_tokens = 0;  // of these, computed before
};

class ChatSession {
 public:
  // The engine must outlive the session, and have a chat template.
  explicit ChatSession(CompletionEngine* engine) : engine_(*engine) {}

  // Messages are added here; answer() adds what the model says.
  Conversation& conversation() { return conversation_; }
  const Conversation& conversation() const { return conversation_; }

  // Answers the conversation as it is. An error leaves it as it was.
  Result<ChatAnswer> answer(const GenerationRequest& request, const PieceSink& sink);

 private:
  CompletionEngine& engine_;
  Conversation conversation_;
};

}  // namespace potluck
