// What /metrics says of a pool.
#include "coordinator/cli/pool_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace potluck {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

TEST(PoolMetrics, SaysWhatIsCounted) {
  PoolFigures figures;
  figures.workers_ready = 3;
  figures.workers_fetching = 1;
  figures.counters.workers_lost = 2;
  figures.counters.wire_bytes = 12345;
  figures.counters.dispatch.remote_unit_calls = 100;
  figures.counters.dispatch.local_unit_calls = 4;
  figures.counters.dispatch.bad_replies = 5;
  figures.counters.dispatch.work.cache_hits = 60;
  figures.bytes_delivered = 999;
  MetricText text;
  write_pool_metrics(figures, &text);
  const std::string all = text.take();
  for (const char* line :
       {"potluck_workers{state=\"ready\"} 3", "potluck_workers{state=\"fetching\"} 1",
        "potluck_workers_lost_total 2", "potluck_wire_bytes_total 12345",
        "potluck_expert_calls_total{by=\"workers\"} 100",
        "potluck_expert_calls_total{by=\"coordinator\"} 4",
        "potluck_expert_requests_failed_total{outcome=\"rejected_bad\"} 5",
        "potluck_expert_cache_hits_total 60", "potluck_shard_bytes_total 999"}) {
    EXPECT_THAT(all, HasSubstr("\n" + std::string(line) + "\n"));
  }
}

TEST(PoolMetrics, PowerIsSaidWhereItIsKnown) {
  PoolFigures figures;
  MetricText text;
  write_pool_metrics(figures, &text);
  EXPECT_THAT(text.take(), Not(AnyOf(HasSubstr("power_"), HasSubstr("joules_"))));
  figures.power = PoolPower{7.5, 2, std::nullopt};
  write_pool_metrics(figures, &text);
  const std::string idle = text.take();
  EXPECT_THAT(idle, HasSubstr("\npotluck_power_watts 7.5\n"));
  EXPECT_THAT(idle, HasSubstr("\npotluck_power_devices 2\n"));
  EXPECT_THAT(idle, Not(HasSubstr("joules_")));
  figures.power->joules_per_token = 0.25;
  write_pool_metrics(figures, &text);
  EXPECT_THAT(text.take(), HasSubstr("\npotluck_joules_per_token 0.25\n"));
}

// Before the pool is there.
TEST(PoolMetrics, SaysNothingOfNoPool) {
  MetricText text;
  PoolMetrics().write(true, &text);
  EXPECT_EQ(text.take(), "");
}

}  // namespace
}  // namespace potluck
