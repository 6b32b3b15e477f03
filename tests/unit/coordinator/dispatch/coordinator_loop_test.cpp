// The coordinator's loop itself: floods, clocks that jump, and every timer of its core.
#include "coordinator/dispatch/coordinator_loop.h"

#include <array>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/experts/manifest_builder.h"
#include "engine/model/model.h"
#include "protocol/inproc_transport.h"
#include "tests/support/test_files.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"
#include "tests/unit/coordinator/dispatch/sample_work.h"

namespace potluck {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::NumberedBatch;
using test::peer;

constexpr uint64_t kLoopEpoch = 31;
constexpr uint8_t kMembers = 3;

class CoordinatorLoopTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    storage_ = make_system_storage();
    auto model = Model::load(*storage_, test::data_path("arch/qwen3moe/model.gguf"), {});
    ASSERT_TRUE(model) << model.error().message;
    model_ = std::move(*model);
    auto manifest = build_manifest(model_->cutter(), "qwen3moe");
    ASSERT_TRUE(manifest);
    manifest_ = std::make_unique<Manifest>(std::move(*manifest));
    SeededEntropy entropy(1);
    signed_ = sign_manifest(*manifest_, SigningKey::generate(entropy));
  }
  static void TearDownTestSuite() {
    manifest_.reset();
    model_.reset();
    storage_.reset();
  }

  CoordinatorLoopTest() {
    CoordinatorCoreOptions options;
    options.membership.epoch = kLoopEpoch;
    core_.emplace(options, signed_, *manifest_, model_->cutter(), allow_list_, invitations_,
                  clock_);
    loop_.emplace(*core_, *transport_, clock_, CoordinatorLoopObserver{});
    network_.set_idle([this](Duration timeout) { clock_.advance(timeout + lateness_); });
    for (uint8_t number = 1; number <= kMembers; ++number) {
      members_.push_back(network_.endpoint(peer(number)));
      EXPECT_TRUE(allow_list_.add(peer(number), "").ok());
      say(number, hello());
    }
    run(milliseconds(1));
    for (uint8_t number = 1; number <= kMembers; ++number) make_ready(number);
    run(milliseconds(1));
    hear();
  }

  static Hello hello() {
    Hello hello;
    hello.arithmetic_version = kArithmeticVersion;
    hello.name = "w";
    hello.disk_bytes = kGiB;
    return hello;
  }
  void say(uint8_t number, const Message& message, Channel channel = Channel::kCompute) {
    ASSERT_TRUE(
        members_[number - 1u]->send(own_key_, channel, Frames{encode_header(message), {}}).ok());
  }
  void make_ready(uint8_t number) {
    const WorkerRecord& record = *core_->cluster().worker(peer(number));
    say(number, Residency{kLoopEpoch,
                          record.assignment_version,
                          {record.assigned.begin(), record.assigned.end()},
                          {}});
  }
  void run(Duration time) {
    TimePoint end = clock_.now() + time;
    while (clock_.now() < end) loop_->turn(seconds(1));
  }
  // What the members were sent since the last call; heartbeats by member.
  std::array<int, kMembers> hear() {
    std::array<int, kMembers> heartbeats{};
    for (size_t i = 0; i < members_.size(); ++i) {
      while (auto envelope = members_[i]->receive({})) {
        Result<Message> message = decode_header(envelope->frames.header);
        if (message && std::holds_alternative<Heartbeat>(*message)) ++heartbeats[i];
        if (message && std::holds_alternative<BulkData>(*message)) ++parts_;
      }
    }
    return heartbeats;
  }
  bool is_member(uint8_t number) { return core_->cluster().worker(peer(number)) != nullptr; }

  static inline std::unique_ptr<Storage> storage_;
  static inline std::unique_ptr<Model> model_;
  static inline std::unique_ptr<Manifest> manifest_;
  static inline SignedManifest signed_;

  ManualClock clock_;
  AllowList allow_list_;
  InvitationBook invitations_;
  PeerKey own_key_ = peer(200);
  InprocNetwork network_;
  std::unique_ptr<InprocTransport> transport_ = network_.endpoint(own_key_);
  std::vector<std::unique_ptr<InprocTransport>> members_;
  std::optional<CoordinatorCore> core_;
  std::optional<CoordinatorLoop> loop_;
  Duration lateness_{0};
  int parts_ = 0;
};

TEST_F(CoordinatorLoopTest, AMomentThatPassesWhileItWaitsIsNotForgotten) {
  for (Duration late : {Duration(0), Duration(1), Duration(microseconds(60)),
                        Duration(milliseconds(3)), Duration(milliseconds(300))}) {
    SCOPED_TRACE(late.count());
    lateness_ = late;
    hear();
    for (int i = 0; i < 8; ++i) {
      run(milliseconds(500));
      for (uint8_t number = 1; number <= kMembers; ++number) {
        say(number, Heartbeat{kLoopEpoch, 1, false});
      }
    }
    for (int beats : hear()) EXPECT_GE(beats, 3);
  }
  lateness_ = milliseconds(1);
  run(seconds(5));  // all workers are silent
  for (uint8_t number = 1; number <= kMembers; ++number) EXPECT_FALSE(is_member(number));
}

TEST_F(CoordinatorLoopTest, NobodyIsJudgedAfterAnAbsence) {
  clock_.advance(seconds(300));
  run(milliseconds(1));
  for (uint8_t number = 1; number <= kMembers; ++number) EXPECT_TRUE(is_member(number));
  run(seconds(5));
  for (uint8_t number = 1; number <= kMembers; ++number) EXPECT_FALSE(is_member(number));
}

// One member sends as fast as it can, and more than is ever handled.
TEST_F(CoordinatorLoopTest, AFloodStopsNeitherTicksNorSendsNorOtherMembers) {
  hear();
  NumberedBatch work(*manifest_, 0, 4, 2);
  uint64_t ticket = core_->dispatcher().submit(work.batch(), &work.sums);
  loop_->send();
  say(2, FetchManifest{manifest_->digest()}, Channel::kBulk);
  std::array<int, kMembers> beats{};
  size_t handled_most = 0;
  for (int turn = 0; turn < 200; ++turn) {
    uint64_t before = core_->intake().refused;
    for (size_t i = 0; i < 4 * CoordinatorLoop::kMessagesPerTurn; ++i) {
      say(1, Welcome{});  // refused, with an answer each
    }
    if (turn % 20 == 0) {
      for (uint8_t number = 2; number <= kMembers; ++number) {
        say(number, Heartbeat{kLoopEpoch, 1, true});
      }
    }
    loop_->turn(seconds(1));
    handled_most = std::max<size_t>(handled_most, core_->intake().refused - before);
    clock_.advance(milliseconds(20));
    std::array<int, kMembers> more = hear();
    for (size_t i = 0; i < more.size(); ++i) beats[i] += more[i];
  }
  EXPECT_LE(handled_most, CoordinatorLoop::kMessagesPerTurn);
  EXPECT_GE(beats[1], 10) << "questions of others are answered";
  EXPECT_GE(beats[2], 10);
  EXPECT_GT(parts_, 0) << "another channel is heard";
  // Ticks judged the lateness of those who were asked and did not answer.
  EXPECT_GT(core_->dispatcher().statistics().retries, 0u);
  EXPECT_TRUE(is_member(2) && is_member(3));
  core_->dispatcher().forget(ticket);
}

TEST_F(CoordinatorLoopTest, HandlingOfOneTurnIsBoundedInTimeToo) {
  // A clock that moves with every message, as an expensive one would move it.
  class SlowTransport final : public Transport {
   public:
    SlowTransport(Transport& behind, ManualClock& clock) : behind_(behind), clock_(clock) {}
    Status send(const PeerKey& to, Channel channel, Frames frames) override {
      return behind_.send(to, channel, std::move(frames));
    }
    std::optional<Envelope> receive(Duration timeout) override {
      auto envelope = behind_.receive(timeout);
      if (envelope) clock_.advance(milliseconds(8));
      received += envelope ? 1 : 0;
      return envelope;
    }
    uint64_t compute_bytes() const override { return 0; }
    int received = 0;

   private:
    Transport& behind_;
    ManualClock& clock_;
  };
  SlowTransport slow(*transport_, clock_);
  CoordinatorLoop loop(*core_, slow, clock_, {});
  for (int i = 0; i < 100; ++i) say(1, Heartbeat{kLoopEpoch, 1, false});
  loop.turn(seconds(1));
  EXPECT_LE(slow.received, 4);
}

// Every timer of membership, dispatcher, probes and delivery, in states that random messages lead
// to, and a clock that jumps.
TEST_F(CoordinatorLoopTest, NoTimerIsForgotten) {
  CounterRandom random(7);
  uint64_t position = 0;
  auto pick = [&](uint64_t below) { return random.bits(position++) % below; };
  std::optional<uint64_t> ticket;
  std::unique_ptr<NumberedBatch> work;
  for (int i = 0; i < 4000; ++i) {
    auto number = static_cast<uint8_t>(1 + pick(kMembers));
    switch (pick(7)) {
      case 0:
        say(number, hello());
        break;
      case 1:
        say(number, Heartbeat{pick(9) == 0 ? 1 : kLoopEpoch, 1, pick(2) == 0});
        break;
      case 2:
        if (is_member(number)) make_ready(number);
        break;
      case 3:
        say(number, FetchManifest{manifest_->digest()}, Channel::kBulk);
        break;
      case 4:
        if (pick(6) == 0) say(number, Goodbye{kLoopEpoch, "bye"});
        break;
      case 5:
        if (ticket) core_->dispatcher().forget(*ticket);
        work = std::make_unique<NumberedBatch>(*manifest_, 0, 3, 2, pick(100));
        ticket = core_->dispatcher().submit(work->batch(), &work->sums);
        break;
      default:
        break;
    }
    if (pick(3) == 0) loop_->turn(milliseconds(pick(50)));
    TimePoint due = loop_->next_due();
    ASSERT_LT(due, TimePoint::max()) << "nothing will ever be due again";
    constexpr std::array<int64_t, 4> kLate = {0, 70, 1'000'000, 300'000'000};
    clock_.set(std::max(clock_.now(), due) + microseconds(kLate[pick(kLate.size())]));
    ASSERT_LE(loop_->next_due(), clock_.now()) << "what was due was forgotten";
    int turns = 0;
    do {
      loop_->turn(Duration::zero());
      ASSERT_LT(++turns, 1000) << "the loop spins: what is due stays due";
    } while (loop_->next_due() <= clock_.now());
    if (pick(5) == 0) hear();
  }
  if (ticket) core_->dispatcher().forget(*ticket);
}

}  // namespace
}  // namespace potluck
