#include "worker/source_account.h"

#include "tests/unit/worker/session_bench.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;

class SourceAccountTest : public SessionBench {
 protected:
  SourceAccountTest() {
    sources.set_roster({{numbered_key(11), "tcp://10.0.0.1:7011", "w11"}});
    worker = *sources.find(numbered_key(11));
  }

  void stored(SourceId from, uint64_t bytes) {
    sources.delivered(from, bytes);
    account.grain_stored();
  }
  size_t reports(bool done) {
    account.report(kEpoch, sources, done);
    return sent<SourceReport>().size();
  }

  FetchSources sources;
  SourceId worker = kCoordinatorSource;
  SourceAccount account{link};
};

TEST_F(SourceAccountTest, TellsTheCoordinatorOnceASecondAndAtTheEnd) {
  EXPECT_EQ(reports(false), 0u);
  EXPECT_EQ(account.next_tick(), std::nullopt);
  stored(worker, 100);
  EXPECT_EQ(reports(false), 1u);
  clock.advance(milliseconds(400));
  stored(worker, 100);
  EXPECT_EQ(reports(false), 0u);
  EXPECT_EQ(account.next_tick(), clock.now() + milliseconds(600));
  EXPECT_TRUE(notices().empty());
  EXPECT_EQ(reports(true), 1u);
  EXPECT_EQ(account.next_tick(), std::nullopt);
}

TEST_F(SourceAccountTest, TellsTheUserOnceWhatCameFromWhere) {
  stored(worker, 2 * kMiB);
  stored(kCoordinatorSource, kMiB);
  account.grain_cut(kMiB);
  account.grain_stored();
  reports(true);
  EXPECT_EQ(notices(),
            "fetched 4.0 MiB: 1.0 MiB from the model file here, 2.0 MiB from w11, 1.0 MiB from the "
            "coordinator\n");
  reports(true);
  EXPECT_TRUE(notices().empty());
}

TEST_F(SourceAccountTest, WithoutAMembershipItWaitsAndAWelcomeHearsItAgain) {
  stored(worker, 100);
  account.tell_at_once();
  account.report(std::nullopt, sources, true);
  EXPECT_TRUE(actions.empty());
  EXPECT_EQ(reports(true), 1u);
  EXPECT_EQ(reports(true), 0u);
  account.tell_again();
  EXPECT_EQ(reports(true), 1u);
}

}  // namespace
}  // namespace potluck::test
