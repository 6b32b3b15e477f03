// CompletionIntake: turns a request into what a session is made from: template, tokens, and every
// check that needs no other request. Immutable; any thread.
#pragma once

#include <functional>
#include <variant>

#include "coordinator/serving/session.h"
#include "engine/chat/answer_grammar.h"
#include "engine/chat/chat_template.h"
#include "engine/model/kv_price.h"
#include "engine/model/model.h"

namespace potluck {

struct PreparedRequest {
  SessionTask task;  // without a constraint
  AnswerReader reader;
  AnswerEntry entry = AnswerEntry::kAnswer;  // where the answer begins in a grammar
};

class CompletionIntake {
 public:
  // Wall clock time in the user's zone, as seconds since 1970, for templates.
  using LocalSeconds = std::function<int64_t()>;

  // The template may be null; both must outlive the object. `context`: positions of a conversation;
  // `kv_bytes`: for keys and values of all of them.
  CompletionIntake(const Model& model, const ChatTemplate* chat_template, uint32_t context,
                   KvPrice price, uint64_t kv_bytes, LocalSeconds local_seconds);

  std::variant<PreparedRequest, CompletionFailed> prepare(const CompletionRequest& request) const;
  Result<std::vector<TokenId>> encode(const CompletionPrompt& prompt) const;
  Result<std::string> decode(const std::vector<TokenId>& tokens) const;

 private:
  // A prompt and what reads its answer.
  struct Encoded {
    std::vector<TokenId> tokens;
    AnswerReader reader;
    AnswerEntry entry = AnswerEntry::kAnswer;
  };

  Result<Encoded> encode_conversation(const Conversation& conversation) const;
  Result<Encoded> encode_text(const std::string& text) const;
  Result<Encoded> encode_any(const CompletionPrompt& prompt) const;
  Status needs_tokenizer() const;
  Status check_tokens(const std::vector<TokenId>& tokens) const;
  Status check_settings(const CompletionRequest& request) const;
  uint32_t answer_room(const CompletionRequest& request, size_t prompt_tokens) const;

  const Model& model_;
  const ChatTemplate* template_;
  uint32_t context_;
  KvPrice price_;
  uint64_t kv_bytes_;
  LocalSeconds local_seconds_;
};

}  // namespace potluck
