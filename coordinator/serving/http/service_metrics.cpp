#include "coordinator/serving/http/service_metrics.h"

#include <algorithm>

#include <fmt/format.h>

namespace potluck {
namespace {

// Every reason and fault is written from the beginning: a rate needs the zero before the first one.
constexpr std::array<std::string_view, 4> kReasons{"stop", "length", "tool_calls", "abort"};
constexpr std::array<std::string_view, 5> kFaults{"invalid", "too_long", "overloaded",
                                                  "unavailable", "internal"};

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
    case FinishReason::kStopString:
      return kReasons[0];
    case FinishReason::kLength:
      return kReasons[1];
    case FinishReason::kToolCalls:
      return kReasons[2];
    case FinishReason::kCancelled:
      break;
  }
  return kReasons[3];
}

void begin(std::string_view name, std::string_view type, std::string_view help, std::string* text) {
  *text += fmt::format("# HELP potluck_{0} {1}\n# TYPE potluck_{0} {2}\n", name, help, type);
}

void write_one(std::string_view name, std::string_view type, std::string_view help, uint64_t value,
               std::string* text) {
  begin(name, type, help, text);
  *text += fmt::format("potluck_{} {}\n", name, value);
}

void write_labeled(std::string_view name, std::string_view label, std::string_view help,
                   std::span<const std::string_view> values,
                   const std::map<std::string_view, uint64_t>& counts, std::string* text) {
  begin(name, "counter", help, text);
  for (const std::string_view value : values) {
    const auto found = counts.find(value);
    *text += fmt::format("potluck_{}{{{}=\"{}\"}} {}\n", name, label, value,
                         found == counts.end() ? 0 : found->second);
  }
}

}  // namespace

void Histogram::observe(double seconds) {
  const auto* bucket = std::ranges::lower_bound(kBounds, seconds);
  ++counts_[static_cast<size_t>(bucket - kBounds.begin())];
  sum_ += std::max(seconds, 0.0);
}

void Histogram::write(std::string_view name, std::string* text) const {
  uint64_t count = 0;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    count += counts_[i];
    *text += fmt::format("potluck_{}_bucket{{le=\"{}\"}} {}\n", name, kBounds[i], count);
  }
  count += counts_.back();
  *text += fmt::format(
      "potluck_{0}_bucket{{le=\"+Inf\"}} {1}\npotluck_{0}_sum {2}\n"
      "potluck_{0}_count {1}\n",
      name, count, sum_);
}

void ServiceMetrics::submitted() {
  MutexLock lock(mutex_);
  ++waiting_;
}

void ServiceMetrics::started() {
  MutexLock lock(mutex_);
  --waiting_;
  ++running_;
}

void ServiceMetrics::first_token(double seconds) {
  MutexLock lock(mutex_);
  first_token_.observe(seconds);
}

void ServiceMetrics::next_token(double seconds) {
  MutexLock lock(mutex_);
  next_token_.observe(seconds);
}

void ServiceMetrics::finished(const CompletionFinished& finished, double seconds,
                              bool was_started) {
  MutexLock lock(mutex_);
  leave(was_started);
  ++finished_[name_of(finished.reason)];
  prompt_tokens_ += finished.usage.prompt_tokens;
  cached_tokens_ += finished.usage.cached_tokens;
  generated_tokens_ += finished.usage.completion_tokens;
  whole_.observe(seconds);
  queued_.observe(seconds - finished.prefill_seconds - finished.decode_seconds);
  prefill_.observe(finished.prefill_seconds);
  decode_.observe(finished.decode_seconds);
}

void ServiceMetrics::failed(CompletionFault fault, bool was_started) {
  MutexLock lock(mutex_);
  leave(was_started);
  ++failed_[kFaults[std::min(static_cast<size_t>(fault), kFaults.size() - 1)]];
}

void ServiceMetrics::leave(bool was_started) {
  --(was_started ? running_ : waiting_);
}

std::string ServiceMetrics::text(std::string_view version, bool ready) const {
  std::string text;
  begin("build_info", "gauge", "Always 1; the label says which version this is.", &text);
  text += fmt::format("potluck_build_info{{version=\"{}\"}} 1\n", version);
  write_one("ready", "gauge", "Whether requests are answered.", ready ? 1 : 0, &text);
  MutexLock lock(mutex_);
  write_requests(&text);
  write_times(&text);
  return text;
}

void ServiceMetrics::write_requests(std::string* text) const {
  write_one("num_requests_running", "gauge", "Requests that are being answered.", running_, text);
  write_one("num_requests_waiting", "gauge", "Requests that wait for their turn.", waiting_, text);
  write_one("prompt_tokens_total", "counter", "Tokens of prompts.", prompt_tokens_, text);
  write_one("prompt_tokens_cached_total", "counter",
            "Tokens of prompts that were not computed again.", cached_tokens_, text);
  write_one("generation_tokens_total", "counter", "Tokens of answers.", generated_tokens_, text);
  write_labeled("request_success_total", "finished_reason", "Requests that ended, by reason.",
                kReasons, finished_, text);
  write_labeled("request_failure_total", "fault", "Requests that failed or were refused.", kFaults,
                failed_, text);
}

void ServiceMetrics::write_times(std::string* text) const {
  const std::tuple<const char*, const char*, const Histogram*> histograms[] = {
      {"time_to_first_token_seconds", "From a request to the first token.", &first_token_},
      {"inter_token_latency_seconds", "From one token to the next.", &next_token_},
      {"e2e_request_latency_seconds", "From a request to the end of its answer.", &whole_},
      {"request_queue_time_seconds", "Before a request's prompt is computed.", &queued_},
      {"request_prefill_time_seconds", "While a prompt is computed.", &prefill_},
      {"request_decode_time_seconds", "While an answer is computed.", &decode_}};
  for (const auto& [name, help, histogram] : histograms) {
    begin(name, "histogram", help, text);
    histogram->write(name, text);
  }
}

}  // namespace potluck
