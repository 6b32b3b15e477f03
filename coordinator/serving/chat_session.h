// ChatSession: a conversation with a model through its chat template. Each answer prefills only
// what the KV cache does not hold yet; the tokens are those that a fresh cache would give. One
// thread, which owns the runtime.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "coordinator/runtime/runtime.h"
#include "coordinator/serving/generator.h"
#include "engine/chat/chat_template.h"

namespace potluck {

struct ChatAnswer {
  GenerationResult result;
  AnswerPiece text;            // all of it; calls have ids
  uint32_t prompt_tokens = 0;  // of the whole conversation
  uint32_t cached_tokens = 0;  // of these, in the cache before
};

class ChatSession {
 public:
  // Told every piece as it comes; false ends the answer.
  using PieceSink = std::function<bool(const AnswerPiece& piece)>;

  // Both must outlive the session; the model must have a tokenizer (CHECK).
  ChatSession(Runtime* runtime, const ChatTemplate* chat_template);

  // Messages are added here; answer() adds what the model says.
  Conversation& conversation() { return conversation_; }

  // The conversation as the template writes it. `local_seconds` is the time that it is told.
  Result<MarkedText> write_prompt(int64_t local_seconds) const;

  // Answers a written prompt; `request` comes without one. An error leaves the conversation as it
  // was.
  Result<ChatAnswer> answer(const MarkedText& written, GenerationRequest request,
                            const PieceSink& sink);

 private:
  // Takes the cache back to what it has in common with the prompt.
  uint32_t reuse_cache(const std::vector<TokenId>& prompt);

  Runtime& runtime_;
  const ChatTemplate& template_;
  Conversation conversation_;
  KvCache cache_;
  std::vector<TokenId> cached_;  // at least as many as the cache's length
  uint64_t calls_ = 0;           // tool calls so far, for their ids
};

}  // namespace potluck
