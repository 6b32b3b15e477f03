// Two pools share one slow worker, in virtual time: one prefills, the other one decodes step after
// step. Neither loses the worker, and both get the bits of a solo run.
#include <deque>

#include <gtest/gtest.h>

#include "simulator/sim_model.h"

#include "coordinator/dispatch/remote_executor.h"
#include "engine/base/memory_storage.h"
#include "tests/support/test_files.h"
#include "worker/worker_core.h"

namespace potluck::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A batch that owns its memory, and the sums of a solo run.
struct RecordedBatch {
  ActivationBuffer input;
  std::vector<int32_t> fraction_bits;
  std::vector<uint32_t> experts;
  std::vector<float> weights;
  uint32_t layer = 0;
  uint32_t top_k = 0;
  ExpertSums expected;

  ExpertBatch view() const {
    return {layer, top_k, input.view(), fraction_bits, experts, weights, {}};
  }
};

// Computes here and keeps what it was asked.
class Recorder final : public ExpertExecutor {
 public:
  explicit Recorder(LocalExecutor& executor) : executor_(executor) {}

  Ticket submit(const ExpertBatch& batch, ExpertSums* out) override {
    Ticket ticket = executor_.submit(batch, out);
    auto record = std::make_unique<RecordedBatch>();
    std::vector<uint32_t> rows(batch.tokens());
    for (uint32_t row = 0; row < rows.size(); ++row) rows[row] = row;
    ByteVector packed = pack_activations(batch.input, rows);
    EXPECT_TRUE(unpack_activations(packed, batch.input.form, batch.tokens(), batch.input.columns,
                                   &record->input)
                    .ok());
    record->fraction_bits.assign(batch.fraction_bits.begin(), batch.fraction_bits.end());
    record->experts.assign(batch.experts.begin(), batch.experts.end());
    record->weights.assign(batch.weights.begin(), batch.weights.end());
    record->layer = batch.layer;
    record->top_k = batch.top_k;
    record->expected = *out;
    batches.push_back(std::move(record));
    return ticket;
  }
  std::optional<Status> take_completed(Ticket ticket) override {
    return executor_.take_completed(ticket);
  }
  void turn(Duration longest) override { executor_.turn(longest); }
  void cancel(Ticket ticket) override { executor_.cancel(ticket); }

  std::vector<std::unique_ptr<RecordedBatch>> batches;

 private:
  LocalExecutor& executor_;
};

CoordinatorCoreOptions shared_core_options(const SimModel& model, uint64_t epoch) {
  CoordinatorCoreOptions core;
  core.membership.epoch = epoch;
  core.membership.slices = 2;
  core.membership.kernels = kernel_self_test(model.kernels());
  return core;
}

// One pool's coordinator.
struct Side {
  Side(const SimModel& model, const Clock& clock, uint64_t number)
      : entropy(number),
        signing(SigningKey::generate(entropy)),
        signed_manifest(sign_manifest(model.manifest(), signing)),
        core(shared_core_options(model, number), signed_manifest, model.manifest(),
             model.model().cutter(), allow_list, invitations, clock) {
    key.bytes.fill(static_cast<uint8_t>(number));
    address.coordinator = key;
    address.signing_key = signing.public_key();
    address.compute_endpoint = "tcp://127.0.0.1:7002";
    address.bulk_endpoint = "tcp://127.0.0.1:7003";
  }

  bool ready() const {
    const ClusterState& cluster = core.cluster();
    return cluster.units_assigned() > 0 && cluster.units_ready() == cluster.units_assigned();
  }

  SeededEntropy entropy;
  SigningKey signing;
  SignedManifest signed_manifest;
  AllowList allow_list;
  InvitationBook invitations;
  CoordinatorCore core;
  PeerKey key;
  PoolAddress address;
};

// The worker between two pools. While the first one's loop waits, time passes; the second one
// decodes what was recorded, step after step, as soon as it has an answer.
class SharedWorker final : private Transport {
 public:
  SharedWorker(const SimModel& model, Duration call_time)
      : first(model, clock, 1),
        second(model, clock, 2),
        loop(first.core, static_cast<Transport&>(*this), clock, {}) {
    auto store = GrainStore::open(disk_, "/store", kGiB);
    EXPECT_TRUE(store.ok());
    store_ = std::move(*store);
    WorkerOptions options;
    options.name = "shared";
    options.ram_bytes = 64 * kMiB;
    options.disk_bytes = kGiB;
    options.processor = SimulatedProcessor(1, call_time);
    worker_.emplace(options, *store_, model.kernels(), threads_, clock);
    key_.bytes.fill(0x77);
    for (Side* side : {&first, &second}) {
      EXPECT_TRUE(side->allow_list.add(key_, "shared").ok());
      worker_->add_pool(side->address);
    }
  }

  bool run_until_ready() {
    for (int i = 0; i < 3000 && !(first.ready() && second.ready()); ++i) {
      loop.turn(milliseconds(20));
    }
    return first.ready() && second.ready();
  }

  ManualClock clock;
  std::vector<std::unique_ptr<RecordedBatch>>* recorded = nullptr;
  size_t replayed = 0;
  Duration longest_step{0};
  uint64_t locally = 0;  // calls that the second coordinator had to compute itself

  Side first;
  Side second;
  CoordinatorLoop loop;  // of the first

 private:
  Status send(const PeerKey&, Channel channel, Frames frames) override {
    auto message = decode_header(frames.header);
    worker_->on_message(first.key, channel, std::move(*message), std::move(frames.tensor));
    return {};
  }

  std::optional<Envelope> receive(Duration timeout) override {
    TimePoint end = clock.now() + timeout;
    exchange();
    while (inbox_.empty() && clock.now() < end) {
      TimePoint next = std::min(
          {end, worker_->next_tick(), second.core.next_tick(), clock.now() + milliseconds(5)});
      clock.set(std::max(next, clock.now() + std::chrono::microseconds(100)));
      if (worker_->next_tick() <= clock.now()) worker_->on_tick();
      exchange();
      second.core.on_tick();
      replay();
      exchange();
    }
    if (inbox_.empty()) return std::nullopt;
    Envelope envelope = std::move(inbox_.front());
    inbox_.pop_front();
    return envelope;
  }

  uint64_t compute_bytes() const override { return 0; }

  // Everything that was said arrives at once, except that the first one's loop has to fetch it.
  void exchange() {
    for (bool said = true; said;) {
      said = false;
      for (OutgoingMessage& out : second.core.take_outgoing(4)) {
        auto message = decode_header(encode_header(out.message));
        worker_->on_message(second.key, out.channel, std::move(*message), std::move(out.tensor));
        said = true;
      }
      for (WorkerAction& action : worker_->take_actions()) {
        auto* send = std::get_if<SendMessage>(&action);
        if (send == nullptr) continue;
        Envelope envelope{
            key_, send->channel, {encode_header(send->message), std::move(send->tensor)}};
        if (send->peer == first.key) {
          inbox_.push_back(std::move(envelope));
        } else {
          second.core.on_frames(envelope);
          said = true;
        }
      }
    }
  }

  void replay() {
    if (recorded == nullptr || recorded->empty()) return;
    Dispatcher& dispatcher = second.core.dispatcher();
    const RecordedBatch& batch = *(*recorded)[replayed % recorded->size()];
    if (!ticket_) {
      view_ = batch.view();
      ticket_ = dispatcher.submit(view_, &sums_);
      asked_at_ = clock.now();
      return;
    }
    while (auto work = dispatcher.take_local_work()) {
      locally += work->calls.size();
      dispatcher.local_done(work->ticket);
    }
    if (!dispatcher.done(*ticket_)) return;
    dispatcher.forget(*ticket_);
    ticket_.reset();
    EXPECT_EQ(sums_.sums, batch.expected.sums);
    longest_step = std::max(longest_step, clock.now() - asked_at_);
    ++replayed;
  }

  MemoryStorage disk_;
  ThreadPool threads_{1};
  std::unique_ptr<GrainStore> store_;
  std::optional<WorkerCore> worker_;
  PeerKey key_;
  std::deque<Envelope> inbox_;  // of the first one
  std::optional<uint64_t> ticket_;
  ExpertBatch view_;
  ExpertSums sums_;
  TimePoint asked_at_{0};
};

TEST(SharedWorkerSim, OnePoolsPrefillCostsTheOtherNeitherMembershipNorBits) {
  SimModel model(test::data_path("arch/qwen3moe/model.gguf"));
  GenerateOptions generate{model.prompt(60), 3, 512};
  ThreadPool threads(1);
  ExpertCompute compute(model.kernels(), threads);
  GgufSource source(model.model().cutter(), kMiB);
  LocalExecutor local(model.model().cutter(), source, compute);
  Recorder recorder(local);
  ASSERT_TRUE(model.generate({model.prompt(1), 4, 512}, threads, recorder));

  SharedWorker pools(model, milliseconds(25));
  ASSERT_TRUE(pools.run_until_ready());
  pools.recorded = &recorder.batches;
  RemoteExecutor executor(pools.loop, model.model().cutter(), source, compute, pools.clock);
  TimePoint start = pools.clock.now();
  auto generated = model.generate(generate, threads, executor);
  ASSERT_TRUE(generated) << generated.error().message;
  EXPECT_TRUE(*generated == model.solo(generate));
  EXPECT_GT(pools.clock.now() - start, seconds(10));
  for (Side* side : {&pools.first, &pools.second}) {
    EXPECT_EQ(side->core.cluster().workers_lost(), 0u);
    EXPECT_EQ(side->core.cluster().workers().size(), 1u);
    EXPECT_EQ(side->core.dispatcher().statistics().retries, 0u);
  }
  EXPECT_EQ(pools.locally, 0u);
  EXPECT_GT(pools.replayed, 20u);
  // Its own work, a block of the other pool's, and no more.
  EXPECT_LT(pools.longest_step, seconds(1));
}

}  // namespace
}  // namespace potluck::sim
