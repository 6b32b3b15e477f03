// ChatSession: a conversation with a model through its chat template. Each answer prefills only
// what the engine does not know yet; the tokens are those that a fresh engine would give. One
// thread; see generate() for who takes the engine's turns.
#pragma once

#include <string>

#include "coordinator/serving/generator.h"

namespace potluck {

class ChatSession {
 public:
  // The engine must outlive the session, and have a chat template.
  explicit ChatSession(CompletionEngine* engine) : engine_(*engine) {}

  // Messages are added here; answer() adds what the model says.
  Conversation& conversation() { return conversation_; }
  const Conversation& conversation() const { return conversation_; }

  // Answers the conversation as it is. An error leaves it as it was.
  Result<GeneratedAnswer> answer(const GenerationRequest& request, const PieceSink& sink);

 private:
  CompletionEngine& engine_;
  Conversation conversation_;
};

}  // namespace potluck
