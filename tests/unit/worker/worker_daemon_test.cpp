// The daemon over real sockets on loopback: the test is the coordinator, a thread the worker.
#include "worker/worker_daemon.h"

#include <limits>
#include <thread>

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "protocol/packed_sums.h"
#include "protocol/zmq_transport.h"
#include "tests/support/recorded_log.h"
#include "tests/unit/worker/sample_model.h"
#include "worker/known_pools.h"

namespace potluck::test {
namespace {

using std::chrono::seconds;

// A coordinator that admits, delivers and assigns everything; it runs inside until().
class SocketCoordinator {
 public:
  explicit SocketCoordinator(const SampleModel& model) : model_(model) {
    SystemEntropy entropy;
    keys_ = ephemeral_keys(entropy);
    signed_manifest_ = sign_manifest(model.manifest(), keys_.signing);
    auto transport = ZmqServerTransport::listen({keys_.curve, "127.0.0.1", {}, 0}, allow_list);
    EXPECT_TRUE(transport.ok()) << transport.error().message;
    transport_ = std::move(*transport);
    transport_->open_join(true);
  }

  Invitation invite() {
    SystemEntropy entropy;
    Invitation blank;
    blank.coordinator = keys_.curve.public_key;
    blank.signing_key = keys_.signing.public_key();
    blank.endpoints = {transport_->join_endpoint()};
    return invitations_.issue(blank, clock_.unix_seconds() + 600, entropy);
  }

  // Serves until the condition holds; false after a long time.
  template <class Condition>
  bool until(const Condition& condition) {
    TimePoint deadline = clock_.now() + seconds(20);
    while (!condition()) {
      if (clock_.now() > deadline) return false;
      auto envelope = transport_->receive(std::chrono::milliseconds(20));
      if (envelope) serve(*envelope);
    }
    return true;
  }

  void send(Channel channel, const Message& message, ByteVector tensor = {}) {
    Status sent = transport_->send(worker, channel, {encode_header(message), std::move(tensor)});
    // On a busy machine it may just have connected anew; it then asks again.
    if (!sent) {
      EXPECT_EQ(sent.error().code, ErrorCode::kNotFound) << sent.error().message;
    }
  }

  AllowList allow_list;
  PeerKey worker;
  uint32_t hellos = 0;
  uint32_t grains = 0;
  size_t ready = 0;
  bool goodbye = false;
  std::optional<Partial> partial;
  ByteVector sums;

 private:
  void serve(const Envelope& envelope) {
    Result<Message> message = decode_header(envelope.frames.header);
    ASSERT_TRUE(message.ok()) << message.error().message;
    worker = envelope.peer;
    if (auto* join = std::get_if<JoinRequest>(&*message)) {
      answer_join(*join);
    } else if (std::holds_alternative<Hello>(*message)) {
      ++hellos;
      ready = 0;
      send(Channel::kCompute,
           Welcome{3, 1, model_.manifest().digest(), signed_manifest_.body.size(), 1000});
      send(Channel::kCompute, Assignment{3, hellos, 2, model_.units(2)});
    } else if (auto* manifest = std::get_if<FetchManifest>(&*message)) {
      deliver(*manifest, model_.manifest().digest(), signed_manifest_.body,
              signed_manifest_.signature);
    } else if (auto* fetch = std::get_if<FetchGrain>(&*message)) {
      if (fetch->offset == 0) ++grains;
      deliver(*fetch, fetch->digest, model_.grain(fetch->grain), {});
    } else if (auto* residency = std::get_if<Residency>(&*message)) {
      if (residency->version == hellos) ready += residency->ready.size();
    } else if (auto* answer = std::get_if<Partial>(&*message)) {
      partial = *answer;
      sums = envelope.frames.tensor;
    } else if (std::holds_alternative<Goodbye>(*message)) {
      goodbye = true;
    }
  }

  void answer_join(const JoinRequest& join) {
    Status redeemed = invitations_.redeem(join.secret, clock_.unix_seconds());
    if (redeemed) {
      EXPECT_TRUE(allow_list.add(worker, join.name).ok());
      send(Channel::kJoin, JoinAccept{transport_->compute_endpoint(),
                                      transport_->bulk_endpoint(),
                                      keys_.signing.public_key(),
                                      {}});
    } else {
      send(Channel::kJoin, Refusal{RefusalReason::kInvitation, redeemed.error().message});
    }
  }

  template <class Fetch>
  void deliver(const Fetch& fetch, const Digest& digest, const ByteVector& whole,
               const Signature& signature) {
    ByteSpan rest = ByteSpan(whole).subspan(fetch.offset);
    ByteSpan part = rest.first(std::min<uint64_t>(fetch.length, rest.size()));
    send(Channel::kBulk, BulkData{digest, true, fetch.offset, whole.size(), signature},
         {part.begin(), part.end()});
  }

  const SampleModel& model_;
  SystemClock clock_;
  DeviceKeys keys_{CurveKeyPair{}, SigningKey(SigningKey::Secret{})};
  SignedManifest signed_manifest_;
  InvitationBook invitations_;
  std::unique_ptr<ZmqServerTransport> transport_;
};

// run_worker() in a thread of its own.
class WorkerThread {
 public:
  WorkerThread(MemoryStorage& storage, WorkerDaemonOptions options)
      : storage_(storage), options_(std::move(options)) {
    options_.store_directory = "store";
    options_.name = "thread";
    options_.ram_bytes = 16 * kMiB;
    options_.disk_bytes = 16 * kMiB;
    thread_ = std::thread([this] { run(); });
  }
  ~WorkerThread() {
    stop();
    if (thread_.joinable()) thread_.join();
  }

  void stop() { stop_.store(true); }
  bool ended() const { return ended_.load(); }
  Status result() {
    thread_.join();
    return result_;
  }
  // After the end.
  std::string notices() const {
    std::string text;
    for (const LogEvent& event : log_.events) text += event.message + "\n";
    return text;
  }
  const MembershipStatus& last_status() const { return last_status_; }

 private:
  void run() {
    WorkerObserver observer;
    observer.log = &log_;
    observer.status = [this](const MembershipStatus& status) { last_status_ = status; };
    SystemClock clock;
    SystemEntropy entropy;
    result_ = run_worker(options_, storage_, clock, entropy, system_files(), observer, stop_);
    ended_.store(true);
  }

  MemoryStorage& storage_;
  WorkerDaemonOptions options_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> ended_{false};
  test::RecordedLog log_;
  MembershipStatus last_status_;
  Status result_;
  std::thread thread_;
};

class WorkerDaemonTest : public testing::Test {
 protected:
  WorkerDaemonOptions with_token(const std::string& token) {
    WorkerDaemonOptions options;
    options.token = token;
    return options;
  }
  // The worker has everything.
  void wait_until_ready() {
    ASSERT_TRUE(coordinator.until([&] { return coordinator.ready == model.units(2).size(); }))
        << coordinator.ready;
  }
  void expect_right_answers() {
    SampleBatch batch = model.batch(SampleModel::kSuperBlocks, 3, 2, 9);
    Compute request;
    request.work = {3, 1, batch.layer, 0};
    request.slices = 2;
    request.form = batch.input.form();
    request.columns = batch.input.columns();
    for (uint32_t row = 0; row < 3; ++row) {
      ComputeRow& out = request.rows.emplace_back();
      out.fraction_bits = batch.fraction_bits[row];
      for (uint32_t k = 0; k < 2; ++k) {
        auto expert = static_cast<uint16_t>(batch.experts[row * 2 + k]);
        out.calls.push_back({expert, 0, batch.weights[row * 2 + k]});
        out.calls.push_back({expert, 1, batch.weights[row * 2 + k]});
      }
    }
    std::vector<uint32_t> rows{0, 1, 2};
    coordinator.partial.reset();
    coordinator.send(Channel::kCompute, request, pack_activations(batch.input.view(), rows));
    ASSERT_TRUE(coordinator.until([&] { return coordinator.partial.has_value(); }));
    EXPECT_EQ(coordinator.partial->status, PartialStatus::kOk) << coordinator.partial->text;
    ExpertSums sums;
    sums.reset(3, request.columns);
    int64_t limit = std::numeric_limits<int64_t>::max() / 2;
    ASSERT_TRUE(add_packed_sums(coordinator.sums, limit, sums.sums).ok());
    EXPECT_EQ(sums.sums, model.solo(batch).sums);
  }
  Status run_to_the_end(WorkerThread& worker) {
    EXPECT_TRUE(coordinator.until([&] { return worker.ended(); }));
    worker.stop();
    return worker.result();
  }

  SampleModel model{1};
  SocketCoordinator coordinator{model};
  MemoryStorage storage;
};

TEST_F(WorkerDaemonTest, JoinsComputesLeavesAndComesBackWithoutAToken) {
  Invitation invitation = coordinator.invite();
  {
    WorkerThread worker(storage, with_token(invitation.token()));
    wait_until_ready();
    EXPECT_GT(coordinator.grains, 0u);
    expect_right_answers();
    worker.stop();
    EXPECT_TRUE(coordinator.until([&] { return coordinator.goodbye; }));
    Status ended = run_to_the_end(worker);
    EXPECT_TRUE(ended.ok()) << ended.error().message;
  }
  PeerKey key = coordinator.worker;
  uint32_t fetched = coordinator.grains;
  for (const std::string& token : {std::string(), invitation.token()}) {  // none; a used one
    WorkerThread worker(storage, with_token(token));
    uint32_t hellos = coordinator.hellos;
    ASSERT_TRUE(coordinator.until([&] { return coordinator.hellos > hellos; })) << token.size();
    wait_until_ready();
    expect_right_answers();
    EXPECT_EQ(coordinator.worker, key);
    worker.stop();
    EXPECT_TRUE(run_to_the_end(worker).ok());
  }
  EXPECT_EQ(coordinator.grains, fetched);
}

TEST_F(WorkerDaemonTest, ASlowDeviceGivesTheSameAnswersLater) {
  WorkerDaemonOptions options = with_token(coordinator.invite().token());
  options.simulated_link = LinkSpec{std::chrono::milliseconds(20), 50'000'000};
  options.simulated_compute = 100;
  WorkerThread worker(storage, options);
  wait_until_ready();
  SystemClock clock;
  TimePoint start = clock.now();
  expect_right_answers();
  uint64_t reported = coordinator.partial->timings.compute;
  EXPECT_GT(reported, 0u);
  Duration least = 2 * options.simulated_link->delay + Duration(reported) / 100 * 99;
  EXPECT_GE(clock.now() - start, least) << "there and back, and the computing it reports";
  worker.stop();
  EXPECT_TRUE(coordinator.until([&] { return coordinator.goodbye; })) << "it reached us, delayed";
  EXPECT_TRUE(run_to_the_end(worker).ok());
}

TEST_F(WorkerDaemonTest, AGoodbyeEndsItInOrder) {
  WorkerThread worker(storage, with_token(coordinator.invite().token()));
  wait_until_ready();
  coordinator.send(Channel::kCompute, Goodbye{3, "enough"});
  Status ended = run_to_the_end(worker);
  EXPECT_TRUE(ended.ok());
  EXPECT_NE(worker.notices().find("the coordinator has ended: enough"), std::string::npos);
}

TEST_F(WorkerDaemonTest, AUsedInvitationIsRefused) {
  Invitation invitation = coordinator.invite();
  {
    WorkerThread first(storage, with_token(invitation.token()));
    wait_until_ready();
  }
  MemoryStorage other_disk;
  WorkerThread second(other_disk, with_token(invitation.token()));
  Status ended = run_to_the_end(second);
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code, ErrorCode::kRefused);
  EXPECT_NE(ended.error().message.find("refused the invitation"), std::string::npos)
      << ended.error().message;
}

TEST_F(WorkerDaemonTest, AKeyThatIsNoLongerKnownIsRefused) {
  {
    WorkerThread worker(storage, with_token(coordinator.invite().token()));
    wait_until_ready();
    worker.stop();
    EXPECT_TRUE(run_to_the_end(worker).ok());
  }
  ASSERT_TRUE(coordinator.allow_list.remove(coordinator.worker).ok());
  WorkerThread worker(storage, with_token(""));
  Status ended = run_to_the_end(worker);
  ASSERT_FALSE(ended.ok());
  EXPECT_NE(ended.error().message.find("does not know this device's key"), std::string::npos)
      << ended.error().message;
}

TEST_F(WorkerDaemonTest, ForgetsThePoolIfTold) {
  WorkerDaemonOptions options = with_token(coordinator.invite().token());
  options.remember = false;
  {
    WorkerThread worker(storage, options);
    wait_until_ready();
  }
  std::vector<std::string> problems;
  EXPECT_TRUE(KnownPools(storage, "store").load_all(&problems).empty());
  WorkerThread worker(storage, with_token(""));
  Status ended = run_to_the_end(worker);
  ASSERT_FALSE(ended.ok());
  EXPECT_NE(ended.error().message.find("no invitation was given, and store knows no pool"),
            std::string::npos);
}

TEST_F(WorkerDaemonTest, WrongUseIsNamed) {
  auto error_of = [&](WorkerDaemonOptions options) {
    WorkerThread worker(storage, std::move(options));
    Status ended = run_to_the_end(worker);
    return ended.ok() ? std::string("no error") : ended.error().message;
  };
  WorkerDaemonOptions options = with_token("potluck1.nonsense");
  EXPECT_EQ(error_of(options).find("nonsense"), std::string::npos);
  options.threads = 0;
  EXPECT_NE(error_of(options).find("--threads 0"), std::string::npos);
  options = with_token("");
  options.isa = "abacus";
  EXPECT_NE(error_of(options).find("abacus"), std::string::npos);
  auto lock = storage.lock("store/lock");
  ASSERT_TRUE(lock.ok());
  EXPECT_NE(error_of(with_token("")).find("store/lock"), std::string::npos);
}

}  // namespace
}  // namespace potluck::test
