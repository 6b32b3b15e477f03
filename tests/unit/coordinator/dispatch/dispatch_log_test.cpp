// What is counted and told.
#include "coordinator/dispatch/dispatch_log.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using test::any_contains;
using test::peer;

TEST(DispatchLog, PeersAreNamedAsPeopleKnowThem) {
  ClusterState cluster;
  cluster.apply(WorkerJoined{peer(1), 4, "attic", "", 0, 0});
  DispatchLog log(cluster);
  log.refused_answer(peer(1), Error{ErrorCode::kCorrupt, "the checksum does not match"});
  std::vector<LogEvent> notices = log.take_notices();
  EXPECT_TRUE(any_contains(notices, "worker 4 (attic, "));
  EXPECT_TRUE(any_contains(notices, "its work goes to others: the checksum does not match"));
  log.was_not_asked(peer(2), {1, 9, 3, 2});
  notices = log.take_notices();
  EXPECT_TRUE(any_contains(notices, "peer " + peer(2).brief()));
  EXPECT_TRUE(any_contains(notices, "request 9 of layer 3 (epoch 1, attempt 2)"));
  EXPECT_EQ(log.counts().bad_replies, 2u);
  log.missed_deadline(peer(1), milliseconds(2345));
  EXPECT_TRUE(any_contains(log.take_notices(), "within 2.3 s"));
  EXPECT_TRUE(log.take_notices().empty());
}

TEST(DispatchLog, AnswersAreSummed) {
  ClusterState cluster;
  DispatchLog log(cluster);
  log.worked({1, 2, 3, 4, 0, 6, 0, 8});
  log.worked({10, 20, 30, 40, 0, 60, 0, 80});
  EXPECT_EQ(log.counts().work, (WorkCounters{11, 22, 33, 44, 0, 66, 0, 88}));
}

TEST(DispatchLog, DisksAreInUseForAWhileAfterTheyWereRead) {
  ClusterState cluster;
  DispatchLog log(cluster);
  log.worked({.cache_hits = 5});
  EXPECT_FALSE(log.disks_in_use());
  for (WorkCounters read : {WorkCounters{.cache_misses = 1}, WorkCounters{.prefetches_used = 1}}) {
    log.worked(read);
    EXPECT_TRUE(log.disks_in_use());
    log.counts().batches += 255;
    EXPECT_TRUE(log.disks_in_use());
    log.counts().batches += 1;
    EXPECT_FALSE(log.disks_in_use());
  }
}

}  // namespace
}  // namespace potluck
