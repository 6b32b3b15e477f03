#include "coordinator/serving/session.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/model/log_probabilities.h"

namespace potluck {
namespace {

bool says_anything(const AnswerPiece& piece) {
  return !piece.reasoning.empty() || !piece.content.empty() || !piece.calls.empty() ||
         !piece.growth.empty();
}

}  // namespace

Session::Session(const Tokenizer* tokenizer, SessionTask task, AnswerReader reader)
    : tokenizer_(tokenizer),
      task_(std::move(task)),
      prompt_tokens_(static_cast<uint32_t>(task_.prompt.size())),
      tokens_(std::move(task_.prompt)),
      reader_(std::move(reader)),
      stop_(std::move(task_.stop)) {
  CHECK(!tokens_.empty());
}

void Session::start(std::unique_ptr<KvCache> cache) {
  CHECK(phase_ == SessionPhase::kWaiting && cache->length() < tokens_.size());
  cache_ = std::move(cache);
  phase_ = SessionPhase::kPrefill;
}

std::unique_ptr<KvCache> Session::release() {
  (void)drop_draft();
  // A step that went on after its answer had ended has filled positions for drafted tokens.
  const auto known = static_cast<uint32_t>(tokens_.size());
  if (cache_ != nullptr && cache_->length() > known) cache_->take_back(known);
  if (phase_ != SessionPhase::kDone) phase_ = SessionPhase::kWaiting;
  return std::move(cache_);
}

uint32_t Session::most_drafted() const {
  if (due().size() != 1) return 0;
  // The token that follows the one that is due counts, and needs no position of its own.
  const uint32_t left = task_.max_tokens - answer_tokens();
  const auto room = cache_->capacity() - static_cast<uint32_t>(tokens_.size());
  return std::min(left > 0 ? left - 1 : 0, room);
}

std::vector<TokenId> Session::step_tokens(uint32_t rows) {
  const std::span<const TokenId> first =
      due().first(std::min<size_t>(rows, tokens_.size() - computed()));
  CHECK(rows - first.size() <= draft_.size());
  draft_.resize(rows - first.size());
  std::vector<TokenId> step(first.begin(), first.end());
  step.insert(step.end(), draft_.begin(), draft_.end());
  return step;
}

uint32_t Session::drop_draft() {
  const uint32_t dropped = std::exchange(ahead_, 0);
  if (dropped > 0) cache_->take_back(cache_->length() - dropped);
  draft_.clear();
  is_ahead_ = false;
  return dropped;
}

void Session::follow_draft(TokenId token) {
  is_ahead_ =
      ahead_ > 0 && phase_ != SessionPhase::kDone && draft_[draft_.size() - ahead_] == token;
  if (is_ahead_) --ahead_;
}

uint64_t Session::prepare(uint64_t budget) {
  return is_prepared() ? 0 : task_.constraint->prepare(budget);
}

CompletionDelta Session::choose(std::span<const float> logits) {
  CHECK(due().empty());
  CompletionDelta delta;
  phase_ = SessionPhase::kDecode;
  is_ahead_ = false;
  if (answer_tokens() >= task_.max_tokens) {
    finish(FinishReason::kLength, &delta);
    return delta;
  }
  const auto token = next_token(logits);
  if (!token) return delta;
  if (ends_at(*token)) {
    finish(FinishReason::kStop, &delta);
    return delta;
  }
  tokens_.push_back(*token);
  pending_tokens_.push_back(*token);
  if (task_.top_logprobs) note_logprob(logits, *token);
  advance(*token, &delta);
  if (!fault_.empty()) return delta;
  bool is_full = answer_tokens() == task_.max_tokens || computed() == cache_->capacity();
  if (phase_ != SessionPhase::kDone && is_full) finish(FinishReason::kLength, &delta);
  if (phase_ == SessionPhase::kDone || says_anything(delta.piece)) hand_over(&delta);
  follow_draft(*token);
  return delta;
}

// A token's position alone decides its random number: it does not matter in whose company, or for
// which time, the logits were computed.
std::optional<TokenId> Session::next_token(std::span<const float> logits) {
  std::shared_ptr<const TokenMask> mask;
  std::span<const uint64_t> allowed;
  if (task_.constraint) {
    auto found = task_.constraint->allowed();
    if (!found) {
      fail(found.error());
      return std::nullopt;
    }
    mask = std::move(*found);
    allowed = mask->words();
  }
  return sample(logits, tokens_, tokens_.size(), task_.sampling, prompt_tokens_, allowed);
}

bool Session::ends_at(TokenId token) const {
  const bool counts = !task_.ignore_end || task_.constraint.has_value();
  return counts && tokenizer_ != nullptr && tokenizer_->is_end(token);
}

void Session::advance(TokenId token, CompletionDelta* delta) {
  if (task_.constraint) {
    Status status = task_.constraint->accept(token);
    if (!status) return fail(status.error());
  }
  take(reader_.push(token), delta);
  // Nothing can follow: the step that would choose the end can be saved.
  const bool is_over = task_.constraint && task_.constraint->is_final();
  if (phase_ != SessionPhase::kDone && is_over) finish(FinishReason::kStop, delta);
}

void Session::fail(const Error& error) {
  fault_ = error.message;
  phase_ = SessionPhase::kDone;
}

CompletionDelta Session::end(FinishReason reason) {
  CompletionDelta delta;
  if (phase_ != SessionPhase::kDone) finish(reason, &delta);
  return delta;
}

void Session::take(AnswerPiece piece, CompletionDelta* delta) {
  delta->piece.reasoning += piece.reasoning;
  take_content(piece.content, delta);
  if (phase_ == SessionPhase::kDone || (piece.calls.empty() && piece.growth.empty())) return;
  // Text and calls keep their order: what was held back comes before the call.
  delta->piece.content += stop_.finish();
  has_calls_ = has_calls_ || !piece.calls.empty();
  for (ToolCallGrowth& growth : piece.growth) delta->piece.growth.push_back(std::move(growth));
  for (ToolCall& call : piece.calls) delta->piece.calls.push_back(std::move(call));
}

void Session::take_content(std::string_view text, CompletionDelta* delta) {
  StopStrings::Passed passed = stop_.push(text);
  delta->piece.content += passed.text;
  if (!passed.met) return;
  met_ = stop_.string(*passed.met);
  reason_ = FinishReason::kStopString;
  phase_ = SessionPhase::kDone;
  // Tokens that begin behind the end of the text are no part of the answer.
  std::erase_if(pending_,
                [&](const Pending& pending) { return pending.held >= passed.text.size(); });
}

void Session::finish(FinishReason reason, CompletionDelta* delta) {
  take(reader_.finish(), delta);
  if (phase_ != SessionPhase::kDone) {
    delta->piece.content += stop_.finish();
    bool calls = reason == FinishReason::kStop && has_calls_;
    reason_ = calls ? FinishReason::kToolCalls : reason;
    phase_ = SessionPhase::kDone;
  }
  hand_over(delta);
}

void Session::note_logprob(std::span<const float> logits, TokenId token) {
  LogProbabilities probabilities(logits);
  Pending pending;
  pending.logprob.chosen = {bytes_of(token), probabilities.of(token)};
  for (const auto& [other, logprob] : probabilities.likeliest(*task_.top_logprobs)) {
    pending.logprob.top.push_back({bytes_of(other), logprob});
  }
  pending.held = stop_.held_bytes();
  pending_.push_back(std::move(pending));
}

void Session::hand_over(CompletionDelta* delta) {
  for (Pending& pending : pending_) delta->logprobs.push_back(std::move(pending.logprob));
  pending_.clear();
  for (TokenId token : std::exchange(pending_tokens_, {})) delta->tokens.push_back(token);
}

std::string Session::bytes_of(TokenId token) const {
  return tokenizer_ == nullptr ? std::string() : std::string(tokenizer_->bytes_of(token));
}

}  // namespace potluck
