// Large manifests over links of every kind, in virtual time: the real Delivery on one side, the
// real WorkerCore on the other, between them a wire with a rate and a delay that breaks now and
// then. Even so, the worker becomes a member in about the time that the bytes take, and
// they are sent hardly more than once.
#include <deque>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "coordinator/delivery/delivery.h"
#include "engine/base/memory_storage.h"
#include "engine/model/model.h"
#include "tests/support/test_files.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"
#include "worker/worker_core.h"

namespace potluck::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Case {
  const char* name;
  uint32_t experts = 0;  // of ten layers, with eight grains each
  double bytes_per_second = 0;
  Duration delay{0};  // one way
  uint64_t serve_rate = kDefaultServeRate;
  bool generating = false;    // all the time
  Duration cut_every{0};      // 0: never
  Duration restart_every{0};  // of the coordinator
};

class ManifestLink {
 public:
  ManifestLink(const Case& chosen, const GrainCutter& cutter)
      : case_(chosen),
        manifest_(test::sample_manifest(10, chosen.experts)),
        entropy_(1),
        key_(SigningKey::generate(entropy_)),
        signed_(sign_manifest(manifest_, key_)),
        cutter_(cutter) {
    coordinator_.bytes.fill(1);
    worker_key_.bytes.fill(2);
    store_ = std::move(*GrainStore::open(disk_, "store", kGiB));
    auto kernels = select_kernels("");
    WorkerOptions options;
    options.ram_bytes = options.disk_bytes = 64 * kMiB;
    worker_ = std::make_unique<WorkerCore>(options, *store_, **kernels, threads_, clock_);
    start_coordinator();
    PoolAddress address;
    address.coordinator = coordinator_;
    address.signing_key = key_.public_key();
    worker_->add_pool(address);
  }

  uint64_t manifest_bytes() const { return signed_.body.size(); }
  uint64_t bytes_sent() const { return bytes_sent_; }
  Duration time() const { return clock_.now(); }

  bool run(Duration limit) {
    while (worker_->status().at(0).phase != "member") {
      if (clock_.now() >= limit) return false;
      step();
      if (worker_->pools() == 0) return false;
    }
    return true;
  }

 private:
  struct Held {
    TimePoint due;
    Message message;
    ByteVector tensor;
    Channel channel;
  };

  void start_coordinator() {
    ++epoch_;
    delivery_ = std::make_unique<Delivery>(signed_, manifest_, cutter_, clock_, case_.serve_rate);
    member_ = false;
  }

  void step() {
    TimePoint now = clock_.now();
    while (!up_.empty() && up_.front().due <= now) to_coordinator(pop(up_));
    if (case_.generating) delivery_->work_seen();
    for (OutgoingMessage& part : delivery_->take_outgoing(4)) {
      bytes_sent_ += part.tensor.size();
      send_down(std::move(part.message), std::move(part.tensor), Channel::kBulk);
    }
    while (!down_.empty() && down_.front().due <= now) to_worker(pop(down_));
    worker_->on_tick();
    for (WorkerAction& action : worker_->take_actions()) {
      auto* sent = std::get_if<SendMessage>(&action);
      if (sent == nullptr) continue;
      up_.push_back({now + case_.delay, std::move(sent->message), {}, sent->channel});
    }
    break_things();
    advance();
  }

  static Held pop(std::deque<Held>& queue) {
    Held held = std::move(queue.front());
    queue.pop_front();
    return held;
  }

  void to_coordinator(Held held) {
    if (std::holds_alternative<Hello>(held.message)) {
      member_ = true;
      delivery_->forget(worker_key_);
      send_down(Welcome{epoch_, 1, manifest_.digest(), signed_.body.size(), 1000}, {},
                Channel::kCompute);
    } else if (held.channel == Channel::kBulk) {
      delivery_->on_message(worker_key_, held.message, member_);
    }
    if (!member_) send_down(Heartbeat{0, 1, true}, {}, Channel::kCompute);
  }

  void to_worker(Held held) {
    worker_->on_message(coordinator_, held.channel, std::move(held.message),
                        std::move(held.tensor));
  }

  void send_down(Message message, ByteVector tensor, Channel channel) {
    double seconds_taken = static_cast<double>(tensor.size() + 200) / case_.bytes_per_second;
    free_at_ =
        std::max(free_at_, clock_.now()) + Duration(static_cast<int64_t>(seconds_taken * 1e9));
    down_.push_back({free_at_ + case_.delay, std::move(message), std::move(tensor), channel});
  }

  void break_things() {
    TimePoint now = clock_.now();
    if (case_.cut_every > Duration{0} && now >= cut_at_ + case_.cut_every) {
      cut_at_ = now;
      connections_lost();
    }
    if (case_.restart_every > Duration{0} && now >= restarted_at_ + case_.restart_every) {
      restarted_at_ = now;
      start_coordinator();
      connections_lost();
    }
    if (now >= beat_at_ + seconds(1)) {
      beat_at_ = now;
      if (member_) send_down(Heartbeat{epoch_, 1, false}, {}, Channel::kCompute);
    }
  }

  void connections_lost() {
    up_.clear();
    down_.clear();
    free_at_ = clock_.now();
    worker_->on_connected(coordinator_, Channel::kBulk);
    worker_->on_connected(coordinator_, Channel::kCompute);
  }

  void advance() {
    TimePoint now = clock_.now();
    TimePoint next = std::max(worker_->next_tick(), now + milliseconds(1));
    if (!up_.empty()) next = std::min(next, up_.front().due);
    if (!down_.empty()) next = std::min(next, down_.front().due);
    if (auto part = delivery_->next_part()) next = std::min(next, *part);
    clock_.set(std::max(now, std::min(next, now + milliseconds(100))));
  }

  Case case_;
  ManualClock clock_;
  Manifest manifest_;
  SeededEntropy entropy_;
  SigningKey key_;
  SignedManifest signed_;
  const GrainCutter& cutter_;
  std::unique_ptr<Delivery> delivery_;
  MemoryStorage disk_;
  std::unique_ptr<GrainStore> store_;
  ThreadPool threads_{1};
  std::unique_ptr<WorkerCore> worker_;
  PeerKey coordinator_, worker_key_;
  uint64_t epoch_ = 0;
  bool member_ = false;
  std::deque<Held> up_, down_;
  TimePoint free_at_{0}, cut_at_{0}, restarted_at_{0}, beat_at_{0};
  uint64_t bytes_sent_ = 0;
};

class ManifestDelivery : public testing::TestWithParam<Case> {};

TEST_P(ManifestDelivery, TakesTheTimeOfItsBytesAndSendsThemOnce) {
  auto storage = make_system_storage();
  auto model = Model::load(*storage, test::data_path("arch/qwen3moe/model.gguf"), {});
  ASSERT_TRUE(model.ok());
  ManifestLink link(GetParam(), (*model)->cutter());
  auto bytes = static_cast<double>(link.manifest_bytes());
  double rate = GetParam().bytes_per_second;
  if (GetParam().generating) {
    rate = std::min(rate, static_cast<double>(GetParam().serve_rate) / 8);
  }
  // Some round trips pass until it is known how much the link carries.
  double round_trip = 2 * std::chrono::duration<double>(GetParam().delay).count();
  double most_seconds = 1.25 * bytes / rate + 12 * round_trip + 5;
  EXPECT_TRUE(link.run(Duration(static_cast<int64_t>(most_seconds * 1e9))));
  double sent = static_cast<double>(link.bytes_sent()) / bytes;
  EXPECT_LE(sent, 1.1);
  RecordProperty("sent_per_needed", fmt::format("{:.3f}", sent));
  RecordProperty("seconds",
                 fmt::format("{:.1f} of {:.1f}", std::chrono::duration<double>(link.time()).count(),
                             bytes / rate));
}

constexpr uint32_t kModerate = 2200;  // 5.5 MiB
constexpr uint32_t kLarge = 4096;     // 10 MiB

INSTANTIATE_TEST_SUITE_P(
    Links, ManifestDelivery,
    testing::Values(
        Case{"SlowLink", kModerate, 600.0 * kKiB, milliseconds(10)},
        Case{"VerySlowLink", kModerate, 30e3, milliseconds(100)},
        Case{"FastLink", kLarge, 110e6, milliseconds(1)},
        Case{"LongLink", kLarge, 12e6, milliseconds(300)},
        Case{"WhileGenerating", kModerate, 110e6, milliseconds(1), 4 * kMiB, true},
        Case{"WhileGeneratingAtALowRate", kModerate, 110e6, milliseconds(1), 512 * kKiB, true},
        Case{"SlowLinkThatBreaks", kLarge, 250e3, milliseconds(100), kDefaultServeRate, false,
             seconds(30)},
        Case{"CoordinatorThatRestarts", kLarge, 250e3, milliseconds(100), kDefaultServeRate, false,
             seconds(0), seconds(25)},
        Case{"BreaksWhileGenerating", kModerate, 2e6, milliseconds(20), kMiB, true, seconds(15)}),
    [](const auto& chosen) { return chosen.param.name; });

}  // namespace
}  // namespace potluck::sim
