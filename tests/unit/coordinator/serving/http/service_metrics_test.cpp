// What is counted of requests, and how Prometheus reads it.
#include "coordinator/serving/http/service_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/http/metered_service.h"
#include "tests/support/metric_check.h"
#include "tests/support/scripted_service/scripted_service.h"
#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using testing::HasSubstr;

class IgnoringSink final : public CompletionSink {
 public:
  void on_event(const CompletionEvent& /*event*/) override {}
};

class ServiceMetricsTest : public testing::Test {
 protected:
  CompletionId submit() { return metered_.submit({}, std::make_shared<IgnoringSink>()); }
  std::string text(const ServiceFigures& figures = {}) const {
    MetricText text;
    metrics_->write("potluck-1", true, figures, &text);
    return text.take();
  }

  test::ScriptedService service_;
  ManualClock clock_;
  std::shared_ptr<ServiceMetrics> metrics_ = std::make_shared<ServiceMetrics>();
  MeteredService metered_{&service_, metrics_, &clock_};
};

TEST_F(ServiceMetricsTest, RequestsWaitThenRunThenEnd) {
  const CompletionId id = submit();
  service_.tell(id, CompletionAdmitted{10});
  EXPECT_THAT(text(), HasSubstr("\npotluck_num_requests_waiting 1\n"));
  service_.tell(id, CompletionProgress{4, 10});
  service_.tell(id, CompletionProgress{10, 10});
  EXPECT_THAT(text(), HasSubstr("\npotluck_num_requests_running 1\n"));
  EXPECT_THAT(text(), HasSubstr("\npotluck_num_requests_waiting 0\n"));
  clock_.advance(std::chrono::seconds(1));
  service_.tell(id, test::said("a"));
  clock_.advance(std::chrono::milliseconds(20));
  service_.tell(id, test::said("b"));
  service_.tell(id, test::finished(FinishReason::kLength));
  const std::string after = text();
  for (const char* line :
       {"potluck_num_requests_running 0", "potluck_prompt_tokens_total 10",
        "potluck_prompt_tokens_cached_total 4", "potluck_generation_tokens_total 3",
        "potluck_request_success_total{finished_reason=\"length\"} 1",
        "potluck_request_success_total{finished_reason=\"stop\"} 0",
        "potluck_time_to_first_token_seconds_bucket{le=\"0.5\"} 0",
        "potluck_time_to_first_token_seconds_bucket{le=\"1\"} 1",
        "potluck_time_to_first_token_seconds_bucket{le=\"+Inf\"} 1",
        "potluck_inter_token_latency_seconds_bucket{le=\"0.01\"} 0",
        "potluck_inter_token_latency_seconds_bucket{le=\"0.025\"} 1",
        "potluck_request_prefill_time_seconds_sum 0.5",
        "potluck_e2e_request_latency_seconds_count 1"}) {
    EXPECT_THAT(after, HasSubstr("\n" + std::string(line) + "\n"));
  }
}

TEST_F(ServiceMetricsTest, RefusedAndForgottenRequestsAreNotLeftOver) {
  service_.tell(submit(), CompletionFailed{CompletionFault::kOverloaded, "busy"});
  service_.forget(submit());
  const CompletionId id = submit();
  service_.tell(id, CompletionProgress{1, 2});
  metered_.cancel(id);
  const std::string after = text();
  EXPECT_THAT(after, HasSubstr("\npotluck_num_requests_waiting 0\n"));
  EXPECT_THAT(after, HasSubstr("\npotluck_num_requests_running 0\n"));
  EXPECT_THAT(after, HasSubstr("potluck_request_failure_total{fault=\"overloaded\"} 1\n"));
  EXPECT_THAT(after, HasSubstr("potluck_request_failure_total{fault=\"internal\"} 1\n"));
  EXPECT_THAT(after, HasSubstr("potluck_request_success_total{finished_reason=\"abort\"} 1\n"));
}

TEST_F(ServiceMetricsTest, ToldTheServicesFigures) {
  ServiceFigures figures;
  figures.kv_budget_bytes = 4000;
  figures.kv_used_bytes = 1000;
  figures.kv_kept_bytes = 2000;
  figures.kv_kept_blocks = 7;
  figures.prefix_queries = 90;
  figures.prefix_hits = 60;
  figures.restored_blocks = 5;
  figures.queue_bytes = uint64_t{1} << 40;
  const std::string all = text(figures);
  for (const char* line :
       {"potluck_kv_cache_usage_ratio 0.25", "potluck_kv_cache_budget_bytes 4000",
        "potluck_kv_cache_kept_bytes 2000", "potluck_kv_blocks_kept 7",
        "potluck_prefix_cache_queries_total 90", "potluck_prefix_cache_hits_total 60",
        "potluck_prefix_blocks_restored_total 5", "potluck_queue_bytes 1099511627776"}) {
    EXPECT_THAT(all, HasSubstr("\n" + std::string(line) + "\n"));
  }
}

TEST(MetricLabel, EscapesWhatWouldEndIt) {
  EXPECT_EQ(metric_label("key", "ann"), R"(key="ann")");
  EXPECT_EQ(metric_label("key", "a\"b\\c"), R"(key="a\"b\\c")");
  EXPECT_EQ(metric_label("key", "a\nb"), R"(key="a\\x0ab")");
}

TEST_F(ServiceMetricsTest, EveryNameHasHelpAndTypeOnce) {
  const std::string all = text();
  EXPECT_THAT(test::MetricCheck::faults_of(all), testing::ElementsAre());
  EXPECT_GT(std::ranges::count(all, '\n'), 150);
}

}  // namespace
}  // namespace potluck
