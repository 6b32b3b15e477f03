// What the answers of /v1/chat/completions and /v1/completions have in common. Plain values and
// pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/answer_identity.h"
#include "coordinator/serving/http/json_object.h"

namespace potluck {

// "id", "object", "created", "model" and "system_fingerprint".
JsonObject begin_answer(const AnswerIdentity& identity, std::string_view object);

// The finished choices of one request.
class FinishedChoices {
 public:
  explicit FinishedChoices(size_t choices) : left_(choices), finished_(choices) {}

  // Each choice once.
  void add(size_t choice, const CompletionFinished& finished);
  bool all() const { return left_ == 0; }
  const CompletionFinished& operator[](size_t choice) const { return finished_[choice]; }

  // "usage": a prompt that several choices share counts once.
  JsonValue usage(size_t choices_per_prompt) const;
  // How long it took, under the names of llama.cpp's server; of the first choice.
  JsonValue timings() const;

 private:
  size_t left_;
  std::vector<CompletionFinished> finished_;
};

// Never for cancelled choices. `called`: the choice has tool calls.
std::string_view finish_reason_name(FinishReason reason, bool called);

}  // namespace potluck
