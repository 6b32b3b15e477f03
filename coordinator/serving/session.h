// Session: one request on its way: its tokens, its cache, and what of its answer is certain. It
// computes nothing, and knows no other session: rows go out, logits come in. Owned by the
// CompletionEngine; its thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "coordinator/serving/answer_reader.h"
#include "coordinator/serving/completion.h"
#include "coordinator/serving/stop_strings.h"
#include "engine/grammar/constraint.h"
#include "engine/model/kv_cache.h"

namespace potluck {

// A request that has been checked and encoded.
struct SessionTask {
  std::vector<TokenId> prompt = {};  // at least one token
  uint32_t max_tokens = 0;           // of the answer; 0: the prompt is computed, and that is all
  SamplingSettings sampling = {};
  std::vector<std::string> stop = {};
  std::optional<uint32_t> top_logprobs = {};
  bool ignore_end = false;
  std::optional<Constraint> constraint = {};  // ignores ignore_end
};

enum class SessionPhase : uint8_t { kWaiting, kPrefill, kDecode, kDone };

class Session {
 public:
  // `tokenizer` may be null, and must outlive the session.
  Session(const Tokenizer* tokenizer, SessionTask task, AnswerReader reader);

  SessionPhase phase() const { return phase_; }
  const std::vector<TokenId>& tokens() const { return tokens_; }  // prompt, then answer
  uint32_t prompt_tokens() const { return prompt_tokens_; }
  uint32_t answer_tokens() const { return static_cast<uint32_t>(tokens_.size()) - prompt_tokens_; }

  // Begins, or begins again after release(). The cache holds the first of the tokens, not all.
  void start(std::unique_ptr<KvCache> cache);
  // Gives the cache away and waits: all that it held has to be computed again, or is done.
  std::unique_ptr<KvCache> release();
  KvCache* cache() { return cache_.get(); }
  uint32_t computed() const { return cache_ ? cache_->length() - ahead_ : 0; }
  // Tokens that have to be computed before the next one can be chosen, the first of them first.
  std::span<const TokenId> due() const { return std::span(tokens_).subspan(computed()); }

  // Drafted tokens: what may follow those that are due, to be computed in the same step. As many at
  // most may be drafted; none unless one token is due.
  uint32_t most_drafted() const;
  void set_draft(std::vector<TokenId> draft) { draft_ = std::move(draft); }
  uint32_t drafted() const { return static_cast<uint32_t>(draft_.size()); }
  // So many tokens for the next step: of those that are due, then of the draft, whose rest is
  // forgotten.
  std::vector<TokenId> step_tokens(uint32_t rows);
  // The step has ended well: the cache holds the drafted tokens, too.
  void take_draft() { ahead_ = static_cast<uint32_t>(draft_.size()); }
  // After choose(): the chosen token was drafted, and the logits that follow it are there.
  bool is_ahead() const { return is_ahead_; }
  // Once nothing more can be chosen: takes those back that were not chosen, and forgets the draft.
  // Returns how many rows these were. Also where a step failed.
  uint32_t drop_draft();

  // Before choose(), of an answer that has a form: finds out which tokens may come next, for so
  // much work (Constraint::prepare()). Returns what was done.
  uint64_t prepare(uint64_t budget);
  // There is nothing left to find out.
  bool is_prepared() const { return !needs_mask() || task_.constraint->is_prepared(); }
  bool needs_mask() const { return task_.constraint && answer_tokens() < task_.max_tokens; }
  // What else the form has taken so far, with each token.
  uint64_t form_work() const { return task_.constraint ? task_.constraint->accept_work() : 0; }
  // The logits of the last token, once nothing is due: chooses the next one, or ends. Returns what
  // is now certain of the answer; empty while all is held back.
  CompletionDelta choose(std::span<const float> logits);
  // Ends the answer where it is, with what was held back.
  CompletionDelta end(FinishReason reason);

  // Valid in kDone. A fault is what kept the answer from going on as its grammar asks; empty: none.
  FinishReason finish_reason() const { return reason_; }
  const std::string& fault() const { return fault_; }
  const std::string& stop_string() const { return met_; }

 private:
  std::optional<TokenId> next_token(std::span<const float> logits);
  bool ends_at(TokenId token) const;
  void advance(TokenId token, CompletionDelta* delta);
  void follow_draft(TokenId token);
  void fail(const Error& error);
  void take(AnswerPiece piece, CompletionDelta* delta);
  void take_content(std::string_view text, CompletionDelta* delta);
  void finish(FinishReason reason, CompletionDelta* delta);
  void note_logprob(std::span<const float> logits, TokenId token);
  void hand_over(CompletionDelta* delta);
  std::string bytes_of(TokenId token) const;

  // A chosen token that was not reported yet, and how much text was held back before it.
  struct Pending {
    ChosenLogprob logprob;
    size_t held = 0;
  };

  const Tokenizer* tokenizer_;
  SessionTask task_;  // without the prompt
  uint32_t prompt_tokens_;
  std::vector<TokenId> tokens_;
  std::unique_ptr<KvCache> cache_;
  std::vector<TokenId> draft_;
  uint32_t ahead_ = 0;  // positions of the cache with drafted tokens that are not chosen so far
  bool is_ahead_ = false;
  AnswerReader reader_;
  StopStrings stop_;
  SessionPhase phase_ = SessionPhase::kWaiting;
  FinishReason reason_ = FinishReason::kStop;
  std::string met_;
  std::string fault_;
  bool has_calls_ = false;
  std::vector<Pending> pending_;
  std::vector<TokenId> pending_tokens_;
};

}  // namespace potluck
