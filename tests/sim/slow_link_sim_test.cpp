// A worker behind a slow, lossy link that breaks every half minute, in virtual time: it holds its
// units in about the time that their bytes take, and they are sent hardly more than once.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "simulator/sim_pool.h"

#include "tests/support/test_files.h"

namespace potluck::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr double kBytesPerSecond = 250e3;

SimPoolOptions slow_link() {
  SimPoolOptions options;
  options.link.least_delay = milliseconds(100);  // 200 ms there and back
  options.link.mean_delay = milliseconds(1);
  options.link.bytes_per_second = static_cast<uint64_t>(kBytesPerSecond);
  options.link.one_wire = true;
  options.link.loss = 0.01;
  return options;
}

double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// The bundled model: 39 MB, so that the link breaks several times on the way.
TEST(SlowLinkSim, AWorkerBecomesUsefulWhileTheLinkBreaksEveryHalfMinute) {
  SimModel model(test::taleteller_path());
  for (Duration cut : {Duration(milliseconds(50)), Duration(seconds(1)), Duration(seconds(6))}) {
    SCOPED_TRACE(fmt::format("cut for {} s", in_seconds(cut)));
    SimPool pool(model, slow_link());
    pool.add_worker();
    TimePoint next_cut = pool.clock().now() + seconds(30);
    std::optional<Duration> first;
    uint64_t cuts = 0;
    auto needed =
        static_cast<double>(model.manifest().total_bytes() + model.manifest().encode().size());
    // A connection is tried again up to 2 s after the link is back.
    double lost = in_seconds(cut + seconds(2)) / 30;
    double limit = 1.1 * needed / kBytesPerSecond / (1 - lost);
    bool ready = pool.run_until(
        [&] {
          if (pool.clock().now() >= next_cut) {
            pool.cut(0, cut);
            next_cut += seconds(30);
            ++cuts;
          }
          if (!first && pool.core().cluster().units_ready() > 0) first = pool.clock().now();
          return pool.at_rest();
        },
        Duration(static_cast<int64_t>(limit * 1e9)));
    EXPECT_TRUE(ready);
    EXPECT_GE(cuts, 3u);
    ASSERT_TRUE(first.has_value());
    EXPECT_LT(*first, seconds(10));
    double sent = static_cast<double>(pool.bytes_sent_to(0)) / needed;
    EXPECT_LE(sent, 1.1);
    fmt::print(
        "first unit after {:.1f} s, all after {:.1f} s of {:.1f} s, {} cuts, bytes sent / "
        "needed {:.3f}\n",
        in_seconds(*first), in_seconds(pool.clock().now()), needed / kBytesPerSecond, cuts, sent);
  }
}

// A worker that is behind the same link fetches from one that is not, over a link as slow.
TEST(SlowLinkSim, WorkersServeEachOtherOverSlowLinks) {
  SimModel model(test::data_path("arch/qwen3moe/model.gguf"));
  SimPoolOptions options = slow_link();
  options.link.bytes_per_second = 50'000;
  SimPool pool(model, options);
  auto at_rest = [&] { return pool.at_rest(); };
  pool.add_worker();
  ASSERT_TRUE(pool.run_until(at_rest, seconds(60)));
  uint64_t delivered = pool.core().bytes_delivered();
  pool.add_worker();
  ASSERT_TRUE(pool.run_until(at_rest, seconds(60)));
  EXPECT_GT(pool.worker(0).bytes_served(), 0u);
  EXPECT_EQ(pool.core().bytes_delivered() - delivered, model.manifest().encode().size());
  uint64_t fetched = pool.worker(1).status().bytes_fetched;
  EXPECT_LE(static_cast<double>(pool.worker(0).bytes_served()), 1.1 * static_cast<double>(fetched));
}

}  // namespace
}  // namespace potluck::sim
