#include "coordinator/serving/pending_service.h"

namespace potluck {
namespace {

constexpr const char* kLoading = "Loading model";

Error not_loaded() {
  return {ErrorCode::kRefused, kLoading};
}

}  // namespace

void PendingService::report(const std::string& stage, uint64_t done, uint64_t total) {
  MutexLock lock(mutex_);
  progress_ = {stage, done, total};
}

CompletionId PendingService::submit(CompletionRequest request,
                                    std::shared_ptr<CompletionSink> sink) {
  if (CompletionService* there = service()) return there->submit(std::move(request), sink);
  sink->on_event(CompletionFailed{CompletionFault::kUnavailable, kLoading});
  return 0;
}

void PendingService::cancel(CompletionId id) {
  if (CompletionService* there = service()) there->cancel(id);
}

ServiceState PendingService::state() const {
  const CompletionService* there = service();
  return there == nullptr ? ServiceState::kLoading : there->state();
}

LoadingProgress PendingService::loading() const {
  MutexLock lock(mutex_);
  return progress_;
}

const ServedModel& PendingService::model() const {
  const CompletionService* there = service();
  return there == nullptr ? announced_ : there->model();
}

ServiceFigures PendingService::figures() const {
  const CompletionService* there = service();
  return there == nullptr ? ServiceFigures() : there->figures();
}

Result<std::vector<TokenId>> PendingService::encode(const CompletionPrompt& prompt) const {
  const CompletionService* there = service();
  if (there == nullptr) return not_loaded();
  return there->encode(prompt);
}

Result<std::string> PendingService::decode(const std::vector<TokenId>& tokens) const {
  const CompletionService* there = service();
  if (there == nullptr) return not_loaded();
  return there->decode(tokens);
}

}  // namespace potluck
