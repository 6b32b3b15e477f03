#include "coordinator/dispatch/remote_executor.h"

#include <functional>

#include <gtest/gtest.h>

#include "engine/experts/manifest_builder.h"
#include "engine/kernels/kernels.h"
#include "engine/model/model.h"
#include "tests/support/finish_batch.h"
#include "tests/support/test_files.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"
#include "tests/unit/coordinator/dispatch/sample_work.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using test::finish;
using test::NumberedBatch;
using test::peer;

constexpr uint64_t kExecutorEpoch = 31;

// What happened, in order.
using Events = std::vector<std::string>;

// Counts and times the looks at the network, on which nothing comes; keeps what was sent.
class ScriptedTransport final : public Transport {
 public:
  struct Sent {
    PeerKey peer;
    Message message;
  };

  ScriptedTransport(ManualClock& clock, Events& events) : clock_(clock), events_(events) {}

  Status send(const PeerKey& peer, Channel, Frames frames) override {
    events_.push_back("send");
    sent.push_back({peer, std::move(*decode_header(frames.header))});
    return {};
  }
  std::optional<Envelope> receive(Duration timeout) override {
    events_.push_back("listen");
    timeouts.push_back(timeout);
    clock_.advance(timeout);
    if (on_listen) on_listen();
    return std::nullopt;
  }
  uint64_t compute_bytes() const override { return 0; }

  std::vector<Duration> timeouts;
  std::vector<Sent> sent;
  std::function<void()> on_listen;

 private:
  ManualClock& clock_;
  Events& events_;
};

class WatchedSource final : public ImmediateSource {
 public:
  WatchedSource(GrainSource& source, Events& events) : source_(source), events_(events) {}

  Result<GrainView> fetch(GrainId id) override {
    events_.push_back("read");
    if (broken) return Error{ErrorCode::kIo, "the model file has gone"};
    return source_.get(id);
  }
  bool broken = false;

 private:
  GrainSource& source_;
  Events& events_;
};

class RemoteExecutorTest : public testing::Test {
 protected:
  RemoteExecutorTest()
      : model_(load()),
        manifest_(std::move(*build_manifest(model_->cutter(), "qwen3moe"))),
        signed_{manifest_.encode(), {}},
        core_(options(), signed_, manifest_, model_->cutter(), allow_list_, invitations_, clock_),
        file_(model_->cutter(), kMiB),
        source_(file_, events_),
        compute_(kernels(), threads_),
        transport_(clock_, events_),
        loop_(core_, transport_, clock_, {}),
        executor_(loop_, model_->cutter(), source_, compute_, clock_) {}

  std::unique_ptr<Model> load() {
    auto model = Model::load(*storage_, test::data_path("arch/qwen3moe/model.gguf"), {});
    CHECK(model.ok());
    return std::move(*model);
  }
  static CoordinatorCoreOptions options() {
    CoordinatorCoreOptions options;
    options.membership.epoch = kExecutorEpoch;
    return options;
  }
  static const KernelTable& kernels() { return **select_kernels("scalar"); }

  // The one worker, with everything or with half of the units ready.
  void join(bool half) {
    ASSERT_TRUE(allow_list_.add(peer(1), "").ok());
    Hello hello;
    hello.arithmetic_version = kArithmeticVersion;
    hello.disk_bytes = kGiB;
    tell(hello);
    const WorkerRecord& record = *core_.cluster().worker(peer(1));
    std::vector<UnitId> units(record.assigned.begin(), record.assigned.end());
    if (half) std::erase_if(units, [](UnitId unit) { return unit.expert % 2 == 0; });
    tell(Residency{kExecutorEpoch, record.assignment_version, units, {}});
    core_.take_outgoing(4);
  }
  void tell(const Message& message, ByteVector tensor = {}) {
    core_.on_frames({peer(1), Channel::kCompute, {encode_header(message), std::move(tensor)}});
  }

  ExpertSums solo(const ExpertBatch& batch) {
    ThreadPool threads(1);
    ExpertCompute compute(kernels(), threads);
    GgufSource source(model_->cutter(), kMiB);
    LocalExecutor executor(model_->cutter(), source, compute);
    ExpertSums sums;
    EXPECT_TRUE(finish(executor, executor.submit(batch, &sums)).ok());
    return sums;
  }

  std::unique_ptr<Storage> storage_ = make_system_storage();
  std::unique_ptr<Model> model_;
  Manifest manifest_;
  SignedManifest signed_;
  AllowList allow_list_;
  InvitationBook invitations_;
  ManualClock clock_;
  CoordinatorCore core_;
  ThreadPool threads_{1};
  Events events_;
  GgufSource file_;
  WatchedSource source_;
  ExpertCompute compute_;
  ScriptedTransport transport_;
  CoordinatorLoop loop_;
  RemoteExecutor executor_;
};

TEST_F(RemoteExecutorTest, WithoutWorkersTheLastResortComputesTheSame) {
  NumberedBatch work(manifest_, 1, 3, 2);
  ExpertExecutor::Ticket ticket = executor_.submit(work.batch(), &work.sums);
  EXPECT_FALSE(executor_.take_completed(ticket));
  ASSERT_TRUE(finish(executor_, ticket).ok());
  ExpertSums expected = solo(work.batch());
  EXPECT_EQ(work.sums.sums, expected.sums);
  EXPECT_EQ(work.sums.flags, expected.flags);
  EXPECT_EQ(executor_.times().batches, 1u);
}

TEST_F(RemoteExecutorTest, MessagesLeaveBeforeLocalWorkBegins) {
  join(true);
  NumberedBatch work(manifest_, 0, 8, 2);
  ExpertExecutor::Ticket ticket = executor_.submit(work.batch(), &work.sums);
  ASSERT_EQ(transport_.sent.size(), 1u);
  EXPECT_EQ(events_, Events{"send"});
  // The worker dies at the first opportunity: everything is then computed here.
  transport_.on_listen = [&] { core_.on_unreachable(peer(1), "test"); };
  ASSERT_TRUE(finish(executor_, ticket).ok());
  EXPECT_EQ(events_[1], "read");
  EXPECT_EQ(work.sums.sums, solo(work.batch()).sums);
}

TEST_F(RemoteExecutorTest, WaitsNoLongerThanToTheNextTick) {
  join(false);
  NumberedBatch work(manifest_, 0, 1, 2);
  ExpertExecutor::Ticket ticket = executor_.submit(work.batch(), &work.sums);
  ASSERT_TRUE(finish(executor_, ticket).ok());  // the worker never answers: deadline, then local
  EXPECT_EQ(work.sums.sums, solo(work.batch()).sums);
  for (Duration timeout : transport_.timeouts) EXPECT_LE(timeout, milliseconds(100));
  size_t probes = 0;
  for (const auto& sent : transport_.sent) {
    probes += std::holds_alternative<Heartbeat>(sent.message) ? 1 : 0;
  }
  EXPECT_GT(probes, 10u);
  EXPECT_GE(executor_.times().wait, 1'000'000'000u);
}

TEST_F(RemoteExecutorTest, AnErrorOfTheLastResortIsReturned) {
  source_.broken = true;
  NumberedBatch work(manifest_, 0, 2, 2);
  ExpertExecutor::Ticket ticket = executor_.submit(work.batch(), &work.sums);
  Status status = finish(executor_, ticket);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("the model file has gone"), std::string::npos);
  EXPECT_NE(status.error().message.find("layer 0"), std::string::npos);
  // The next batch is not troubled by what is left of this one.
  source_.broken = false;
  ticket = executor_.submit(work.batch(), &work.sums);
  ASSERT_TRUE(finish(executor_, ticket).ok());
  EXPECT_EQ(work.sums.sums, solo(work.batch()).sums);
}

TEST_F(RemoteExecutorTest, MessagesAreHandledBetweenPiecesOfLocalWork) {
  NumberedBatch work(manifest_, 0, 400, 2);
  ExpertExecutor::Ticket ticket = executor_.submit(work.batch(), &work.sums);
  ASSERT_TRUE(finish(executor_, ticket).ok());
  EXPECT_GE(transport_.timeouts.size(), 2u);
  EXPECT_EQ(work.sums.sums, solo(work.batch()).sums);
}

TEST_F(RemoteExecutorTest, TwoBatchesMayBeInFlight) {
  NumberedBatch first(manifest_, 0, 2, 2, 1);
  NumberedBatch second(manifest_, 1, 3, 2, 2);
  ExpertExecutor::Ticket one = executor_.submit(first.batch(), &first.sums);
  ExpertExecutor::Ticket two = executor_.submit(second.batch(), &second.sums);
  ASSERT_TRUE(finish(executor_, two).ok());
  std::optional<Status> first_outcome = executor_.take_completed(one);
  ASSERT_TRUE(first_outcome);  // done on the way
  ASSERT_TRUE(first_outcome->ok());
  EXPECT_EQ(first.sums.sums, solo(first.batch()).sums);
  EXPECT_EQ(second.sums.sums, solo(second.batch()).sums);
}

// An error belongs to its batch: the one that was asked for meanwhile comes out right.
TEST_F(RemoteExecutorTest, AFailureOfOneBatchIsNoneOfTheOther) {
  NumberedBatch first(manifest_, 0, 2, 2, 1);
  NumberedBatch second(manifest_, 1, 3, 2, 2);
  source_.broken = true;
  ExpertExecutor::Ticket one = executor_.submit(first.batch(), &first.sums);
  ExpertExecutor::Ticket two = executor_.submit(second.batch(), &second.sums);
  executor_.turn(Duration::zero());  // the older batch is first
  source_.broken = false;
  ASSERT_TRUE(finish(executor_, two).ok());
  EXPECT_EQ(second.sums.sums, solo(second.batch()).sums);
  std::optional<Status> failed = executor_.take_completed(one);
  ASSERT_TRUE(failed);
  ASSERT_FALSE(failed->ok());
  EXPECT_NE(failed->error().message.find("the model file has gone"), std::string::npos);
}

TEST_F(RemoteExecutorTest, ACancelledBatchIsLeftAlone) {
  NumberedBatch dropped(manifest_, 0, 2, 2, 1);
  NumberedBatch wanted(manifest_, 1, 3, 2, 2);
  executor_.cancel(executor_.submit(dropped.batch(), &dropped.sums));
  std::vector<int64_t> before = dropped.sums.sums;
  ASSERT_TRUE(finish(executor_, executor_.submit(wanted.batch(), &wanted.sums)).ok());
  EXPECT_EQ(dropped.sums.sums, before);
  EXPECT_EQ(wanted.sums.sums, solo(wanted.batch()).sums);
  // Also one that has failed, and whose outcome was not fetched.
  source_.broken = true;
  ExpertExecutor::Ticket failed = executor_.submit(dropped.batch(), &dropped.sums);
  executor_.turn(Duration::zero());
  executor_.cancel(failed);
}

// A turn with nothing to do waits as long as it may, one with local work not at all.
TEST_F(RemoteExecutorTest, ATurnWaitsNoLongerThanItMay) {
  join(false);
  NumberedBatch work(manifest_, 0, 1, 2);
  ExpertExecutor::Ticket ticket = executor_.submit(work.batch(), &work.sums);
  executor_.turn(milliseconds(7));
  executor_.turn(Duration::zero());
  EXPECT_EQ(transport_.timeouts, (std::vector<Duration>{milliseconds(7), Duration::zero()}));
  core_.on_unreachable(peer(1), "test");
  executor_.turn(milliseconds(7));
  EXPECT_EQ(transport_.timeouts.size(), 2u);
  EXPECT_TRUE(executor_.take_completed(ticket));
}

}  // namespace
}  // namespace potluck
