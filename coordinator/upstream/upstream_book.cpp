#include "coordinator/upstream/upstream_book.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace potluck {

std::string describe(const UpstreamOccasion& occasion, const UpstreamRules& rules) {
  switch (occasion.reason) {
    case UpstreamReason::kModel:
      return fmt::format("it asks for the model '{}'", occasion.model);
    case UpstreamReason::kCannotServe:
      return "the pool cannot serve it";
    case UpstreamReason::kQueue:
      return fmt::format("it would wait {} s here, more than {}", occasion.amount,
                         rules.queue_seconds.value_or(0));
    case UpstreamReason::kPrompt:
      break;
  }
  return fmt::format("its prompt has {} tokens, more than {}", occasion.amount,
                     rules.prompt_tokens.value_or(0));
}

UpstreamBook::UpstreamBook(std::vector<Upstream> upstreams, const Clock* clock)
    : upstreams_(std::move(upstreams)), clock_(*clock), failed_at_(upstreams_.size()) {
  for (const Upstream& upstream : upstreams_) {
    figures_.push_back({upstream.name, upstream.models.front()});
  }
}

bool UpstreamBook::has_overflow() const {
  return std::ranges::any_of(upstreams_, [](const Upstream& upstream) {
    UpstreamRules rules = upstream.rules;
    rules.model = false;
    return rules.any();
  });
}

std::optional<size_t> UpstreamBook::find_model(const std::string& model) const {
  for (size_t i = 0; i < upstreams_.size() && !model.empty(); ++i) {
    const auto& models = upstreams_[i].models;
    if (upstreams_[i].rules.model && std::ranges::find(models, model) != models.end()) return i;
  }
  return std::nullopt;
}

bool UpstreamBook::matches(const UpstreamRules& rules, const UpstreamOccasion& occasion) const {
  switch (occasion.reason) {
    case UpstreamReason::kCannotServe:
      return rules.cannot_serve;
    case UpstreamReason::kQueue:
      return rules.queue_seconds && occasion.amount > *rules.queue_seconds;
    case UpstreamReason::kPrompt:
      return rules.prompt_tokens && occasion.amount > *rules.prompt_tokens;
    case UpstreamReason::kModel:
      break;
  }
  return false;
}

std::optional<size_t> UpstreamBook::choose(const UpstreamOccasion& occasion) {
  for (size_t i = 0; i < upstreams_.size(); ++i) {
    if (!matches(upstreams_[i].rules, occasion)) continue;
    {
      MutexLock lock(mutex_);
      if (failed_at_[i] && clock_.now() < *failed_at_[i] + kPause) continue;
    }
    if (take(i)) return i;
  }
  return std::nullopt;
}

bool UpstreamBook::take(size_t index) {
  MutexLock lock(mutex_);
  UpstreamFigures& figures = figures_[index];
  if (figures.running >= upstreams_[index].at_once) return false;
  ++figures.running;
  return true;
}

void UpstreamBook::sent(size_t index, uint64_t bytes) {
  MutexLock lock(mutex_);
  ++figures_[index].requests;
  figures_[index].sent_bytes += bytes;
}

void UpstreamBook::ended(size_t index, Outcome outcome, const CompletionUsage& usage,
                         uint64_t received_bytes) {
  MutexLock lock(mutex_);
  UpstreamFigures& figures = figures_[index];
  --figures.running;
  figures.received_bytes += received_bytes;
  figures.prompt_tokens += usage.prompt_tokens;
  figures.answer_tokens += usage.completion_tokens;
  if (outcome == Outcome::kFellBack) ++figures.fell_back;
  if (outcome == Outcome::kFailed) ++figures.failed;
  if (outcome == Outcome::kAnswered) failed_at_[index].reset();
  if (outcome == Outcome::kFellBack || outcome == Outcome::kFailed) {
    failed_at_[index] = clock_.now();
  }
}

std::vector<UpstreamFigures> UpstreamBook::figures() const {
  MutexLock lock(mutex_);
  return figures_;
}

}  // namespace potluck
