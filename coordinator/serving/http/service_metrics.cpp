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

void write_labeled(std::string_view name, std::string_view label, std::string_view help,
                   std::span<const std::string_view> values,
                   const std::map<std::string_view, uint64_t>& counts, MetricText* text) {
  text->begin(name, "counter", help);
  for (const std::string_view value : values) {
    const auto found = counts.find(value);
    text->sample(name, metric_label(label, value),
                 found == counts.end() ? uint64_t{0} : found->second);
  }
}

// vLLM's names where it has them.
void write_figures(const ServiceFigures& figures, MetricText* text) {
  const auto budget = static_cast<double>(std::max<uint64_t>(1, figures.kv_budget_bytes));
  text->gauge("kv_cache_usage_ratio", "Part of the memory for keys and values that requests have.",
              static_cast<double>(figures.kv_used_bytes) / budget);
  text->gauges({
      {"kv_cache_budget_bytes", "Memory for keys and values in all.", figures.kv_budget_bytes},
      {"kv_cache_used_bytes", "Of it, what requests have.", figures.kv_used_bytes},
      {"kv_cache_kept_bytes", "Of it, what is kept for later requests.", figures.kv_kept_bytes},
      {"kv_cache_free_bytes", "Of it, what is free.", figures.kv_free_bytes},
      {"kv_blocks_used", "Blocks of keys and values that requests have.", figures.kv_used_blocks},
      {"kv_blocks_kept", "Blocks that are kept for later requests.", figures.kv_kept_blocks},
      {"kv_blocks_free", "Blocks that are free.", figures.kv_free_blocks},
      {"prefix_store_bytes", "What is kept on disk for later requests.", figures.disk_bytes},
      {"queue_requests", "Requests in the queue, those of the terminal included.",
       figures.queue_requests},
      {"queue_bytes", "What requests in the queue hold.", figures.queue_bytes},
  });
  text->counters({
      {"prefix_cache_queries_total", "Tokens of prompts that were looked up.",
       figures.prefix_queries},
      {"prefix_cache_hits_total", "Of these, tokens that were there.", figures.prefix_hits},
      {"prefix_blocks_dropped_total", "Blocks that are not kept any more.", figures.dropped_blocks},
      {"prefix_blocks_saved_total", "Blocks written to disk.", figures.saved_blocks},
      {"prefix_blocks_restored_total", "Blocks read from disk.", figures.restored_blocks},
      {"drafted_tokens_total", "Tokens that were computed in case they come next.",
       figures.drafted_tokens},
      {"accepted_tokens_total", "Of these, tokens that did.", figures.accepted_tokens},
      {"num_preemptions_total", "Requests that gave their memory to others.", figures.preemptions},
  });
}

struct UpstreamMetric {
  const char* name;
  const char* type;
  const char* help;
  uint64_t UpstreamFigures::*value;
};

constexpr UpstreamMetric kUpstreamMetrics[] = {
    {"upstream_requests_total", "counter", "Requests that left this pool, by where they went.",
     &UpstreamFigures::requests},
    {"upstream_requests_running", "gauge", "Of these, those under way.", &UpstreamFigures::running},
    {"upstream_fell_back_total", "counter", "Of these, those that the pool answered after all.",
     &UpstreamFigures::fell_back},
    {"upstream_failed_total", "counter", "Of these, those that were not answered to the end.",
     &UpstreamFigures::failed},
    {"upstream_sent_bytes_total", "counter", "Bytes of requests that left this pool.",
     &UpstreamFigures::sent_bytes},
    {"upstream_received_bytes_total", "counter", "Bytes of their answers.",
     &UpstreamFigures::received_bytes},
    {"upstream_prompt_tokens_total", "counter", "Tokens of their prompts, as counted there.",
     &UpstreamFigures::prompt_tokens},
    {"upstream_answer_tokens_total", "counter", "Tokens of their answers, as counted there.",
     &UpstreamFigures::answer_tokens},
};

// Nothing where no upstream is configured.
void write_upstreams(const std::vector<UpstreamFigures>& upstreams, MetricText* text) {
  if (upstreams.empty()) return;
  for (const UpstreamMetric& metric : kUpstreamMetrics) {
    text->begin(metric.name, metric.type, metric.help);
    for (const UpstreamFigures& one : upstreams) {
      text->sample(metric.name, metric_label("upstream", one.name), one.*metric.value);
    }
  }
}

}  // namespace

void Histogram::observe(double seconds) {
  const auto* bucket = std::ranges::lower_bound(kBounds, seconds);
  ++counts_[static_cast<size_t>(bucket - kBounds.begin())];
  sum_ += std::max(seconds, 0.0);
}

void Histogram::write(std::string_view name, MetricText* text) const {
  const std::string bucket = fmt::format("{}_bucket", name);
  uint64_t count = 0;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    count += counts_[i];
    text->sample(bucket, fmt::format("le=\"{}\"", kBounds[i]), count);
  }
  count += counts_.back();
  text->sample(bucket, "le=\"+Inf\"", count);
  text->sample(fmt::format("{}_sum", name), {}, sum_);
  text->sample(fmt::format("{}_count", name), {}, count);
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

void ServiceMetrics::chose(uint64_t tokens) {
  MutexLock lock(mutex_);
  chosen_tokens_ += tokens;
}

ServiceCounts ServiceMetrics::counts() const {
  MutexLock lock(mutex_);
  return {waiting_, running_, done_, prompt_tokens_, cached_tokens_, chosen_tokens_};
}

void ServiceMetrics::finished(const CompletionFinished& finished, double seconds,
                              bool was_started) {
  MutexLock lock(mutex_);
  leave(was_started);
  ++done_;
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

void ServiceMetrics::write(std::string_view version, bool ready, const ServiceFigures& figures,
                           MetricText* text) const {
  text->begin("build_info", "gauge", "Always 1; the label says which version this is.");
  text->sample("build_info", metric_label("version", version), uint64_t{1});
  text->gauge("ready", "Whether requests are answered.", uint64_t{ready});
  write_figures(figures, text);
  write_upstreams(figures.upstreams, text);
  MutexLock lock(mutex_);
  write_requests(text);
  write_times(text);
}

void ServiceMetrics::write_requests(MetricText* text) const {
  text->gauge("num_requests_running", "Requests that are being answered.", running_);
  text->gauge("num_requests_waiting", "Requests that wait for their turn.", waiting_);
  text->counter("prompt_tokens_total", "Tokens of prompts.", prompt_tokens_);
  text->counter("prompt_tokens_cached_total", "Tokens of prompts that were not computed again.",
                cached_tokens_);
  text->counter("generation_tokens_total", "Tokens of answers.", generated_tokens_);
  text->counter("answer_tokens_total", "The same, those of answers under way included.",
                chosen_tokens_);
  text->counter("requests_done_total", "Requests that were answered.", done_);
  write_labeled("request_success_total", "finished_reason", "Requests that ended, by reason.",
                kReasons, finished_, text);
  write_labeled("request_failure_total", "fault", "Requests that failed or were refused.", kFaults,
                failed_, text);
}

void ServiceMetrics::write_times(MetricText* text) const {
  const std::tuple<const char*, const char*, const Histogram*> histograms[] = {
      {"time_to_first_token_seconds", "From a request to the first token.", &first_token_},
      {"inter_token_latency_seconds", "From one token to the next.", &next_token_},
      {"e2e_request_latency_seconds", "From a request to the end of its answer.", &whole_},
      {"request_queue_time_seconds", "Before a request's prompt is computed.", &queued_},
      {"request_prefill_time_seconds", "While a prompt is computed.", &prefill_},
      {"request_decode_time_seconds", "While an answer is computed.", &decode_}};
  for (const auto& [name, help, histogram] : histograms) {
    text->begin(name, "histogram", help);
    histogram->write(name, text);
  }
}

}  // namespace potluck
