#include "tests/unit/worker/worker_harness.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/inline_reader.h"
#include "protocol/packed_sums.h"
#include "tests/support/numbered_key.h"

namespace potluck::test {
namespace {

constexpr const char* kDirectory = "store";

// A disk that takes its time, while nothing else happens on the device.
class SlowReader final : public BlockReader {
 public:
  SlowReader(ManualClock& clock, Duration per_kib)
      : clock_(clock), per_kib_(per_kib), reader_(clock) {}

  void submit(std::span<const BlockRead> reads) override {
    for (const BlockRead& read : reads) bytes_ += read.parts.bytes();
    reader_.submit(reads);
  }
  void promote(uint64_t tag) override { reader_.promote(tag); }
  void collect(std::vector<BlockReadDone>* done, bool wait) override {
    reader_.collect(done, wait);
    clock_.advance(per_kib_ * static_cast<int64_t>(std::exchange(bytes_, 0) / kKiB));
  }
  size_t outstanding() const override { return reader_.outstanding(); }
  uint32_t depth() const override { return reader_.depth(); }
  std::string_view name() const override { return "slow"; }

 private:
  ManualClock& clock_;
  Duration per_kib_;
  InlineBlockReader reader_;
  uint64_t bytes_ = 0;
};

SigningKey numbered_signing_key(uint8_t number) {
  SeededEntropy entropy(number);
  return SigningKey::generate(entropy);
}

}  // namespace

WorkerHarness::WorkerHarness(HarnessOptions wanted)
    : options(std::move(wanted)), threads_(options.threads) {
  restart();
}

void WorkerHarness::restart() {
  core_.reset();
  manifests_.reset();
  store_.reset();
  actions_.clear();
  auto store = GrainStore::open(disk, kDirectory, options.disk_bytes);
  CHECK(store.ok());
  store_ = std::move(*store);
  manifests_ = std::make_unique<ManifestStore>(disk, kDirectory);
  auto kernels = select_kernels(options.kernels);
  CHECK(kernels.ok());
  WorkerOptions core;
  core.name = "bench";
  core.software = "potluck test";
  core.ram_bytes = options.ram_bytes;
  core.disk_bytes = options.disk_bytes;
  core.model = options.model;
  core.processor = options.processor;
  if (options.disk_time_per_kib > Duration::zero()) {
    core.open_reader = [this] {
      return std::make_unique<SlowReader>(clock, options.disk_time_per_kib);
    };
  }
  core_ = std::make_unique<WorkerCore>(core, *store_, **kernels, threads_, clock, manifests_.get());
}

void WorkerHarness::deliver(const PeerKey& from, Channel channel, Message message,
                            ByteVector tensor) {
  core_->on_message(from, channel, std::move(message), std::move(tensor));
  expect_valid();
}

void WorkerHarness::expect_valid() {
  Status valid = core_->validate();
  EXPECT_TRUE(valid) << valid.error().message;
}

void WorkerHarness::pass(Duration time) {
  TimePoint end = clock.now() + time;
  for (TimePoint next = core_->next_tick(); next < end; next = core_->next_tick()) {
    clock.set(std::max(clock.now(), next));
    tick();
    if (core_->next_tick() <= clock.now()) return;
  }
  clock.set(end);
  tick();
}

// What was due is done after a few ticks: one grain is served or cut in each.
void WorkerHarness::tick() {
  constexpr int kTicks = 10'000;
  core_->on_tick();
  for (int i = 0; core_->next_tick() <= clock.now() && i < kTicks; ++i) core_->on_tick();
  EXPECT_GT(core_->next_tick(), clock.now()) << "the loop would spin";
  expect_valid();
}

void WorkerHarness::collect() {
  for (WorkerAction& action : core_->take_actions()) actions_.push_back(std::move(action));
}

void WorkerHarness::forget_actions() {
  collect();
  actions_.clear();
}

std::string WorkerHarness::notices() {
  std::string text;
  for (const Notice& notice : take_actions<Notice>()) {
    text += (notice.fatal ? "fatal: " : "") + notice.text + "\n";
  }
  return text;
}

FakeCoordinator::FakeCoordinator(WorkerHarness& worker, const SampleModel& model, uint8_t number)
    : signed_manifest(sign_manifest(model.manifest(), numbered_signing_key(number))),
      announced(model.manifest().digest()),
      worker_(worker),
      model_(model),
      key_(numbered_key(number)),
      signing_(numbered_signing_key(number)) {}

PoolAddress FakeCoordinator::address() const {
  PoolAddress address;
  address.coordinator = key_;
  address.signing_key = signing_.public_key();
  address.compute_endpoint = "tcp://127.0.0.1:4001";
  address.bulk_endpoint = "tcp://127.0.0.1:4002";
  return address;
}

Invitation FakeCoordinator::invitation() const {
  Invitation invitation;
  invitation.coordinator = key_;
  invitation.signing_key = signing_.public_key();
  invitation.secret.fill(0x5a);
  invitation.endpoints = {"tcp://127.0.0.1:4000"};
  return invitation;
}

void FakeCoordinator::say(Message message, ByteVector tensor) {
  worker_.deliver(key_, Channel::kCompute, std::move(message), std::move(tensor));
}

void FakeCoordinator::say_bulk(BulkData data, ByteVector bytes) {
  if (tamper && !tamper(data, bytes)) return;
  worker_.deliver(key_, Channel::kBulk, data, std::move(bytes));
}

void FakeCoordinator::welcome() {
  Welcome welcome;
  welcome.epoch = epoch;
  welcome.worker_number = 1;
  welcome.manifest = announced;
  welcome.manifest_bytes = signed_manifest.body.size();
  welcome.heartbeat_ms = 1000;
  say(welcome);
}

void FakeCoordinator::admit() {
  worker_.core().add_pool(address());
  worker_.take_one<Hello>(key_);
  welcome();
  serve_bulk();
}

void FakeCoordinator::assign(uint64_t version, uint32_t slices, std::vector<UnitId> units) {
  say(Assignment{epoch, version, slices, std::move(units)});
}

void FakeCoordinator::fill(uint32_t slices, std::vector<UnitId> units) {
  admit();
  assign(1, slices, std::move(units));
  serve_bulk();
}

void FakeCoordinator::serve_bulk() {
  while (serve_asked() > 0) {
  }
}

size_t FakeCoordinator::serve_asked() {
  for (auto& asked : worker_.take<FetchManifest>(key_)) {
    EXPECT_EQ(asked.channel, Channel::kBulk);
    asked_.add(key_, asked.message);
  }
  for (auto& asked : worker_.take<FetchGrain>(key_)) {
    EXPECT_EQ(asked.channel, Channel::kBulk);
    EXPECT_EQ(model_.manifest().digest_of(asked.message.grain), asked.message.digest);
    asked_.add(key_, asked.message);
  }
  size_t served = 0;
  for (; auto request = asked_.take(worker_.clock.now()); ++served) {
    if (request->grain) {
      if (request->offset == 0) grains_asked_.push_back(request->grain->grain);
      send_range(*request, model_.grain(request->grain->grain), {});
    } else {
      if (request->offset == 0) ++manifests_asked_;
      send_range(*request, signed_manifest.body, signed_manifest.signature);
    }
  }
  return served;
}

void FakeCoordinator::send_range(const BulkRequest& request, const ByteVector& whole,
                                 const Signature& signature) {
  const Digest& digest = request.digest;
  uint64_t last = std::min<uint64_t>(request.offset + request.length, whole.size());
  for (uint64_t offset = request.offset; offset < last; offset += part_bytes) {
    uint64_t end = std::min<uint64_t>(offset + part_bytes, last);
    ByteVector part(whole.begin() + static_cast<ptrdiff_t>(offset),
                    whole.begin() + static_cast<ptrdiff_t>(end));
    say_bulk({digest, true, offset, whole.size(), signature}, std::move(part));
  }
}

Compute FakeCoordinator::compute_message(const SampleBatch& batch, uint32_t slices,
                                         const std::function<bool(UnitId)>& filter) {
  Compute request;
  request.work = {epoch, next_request_++, batch.layer, 0};
  request.slices = slices;
  request.form = batch.input.form();
  request.columns = batch.input.columns();
  for (uint32_t row = 0; row < batch.input.tokens(); ++row) {
    ComputeRow& out = request.rows.emplace_back();
    out.fraction_bits = batch.fraction_bits[row];
    for (uint32_t k = 0; k < batch.top_k; ++k) {
      size_t call = size_t{row} * batch.top_k + k;
      for (uint32_t slice = 0; slice < slices; ++slice) {
        UnitId unit{static_cast<uint16_t>(batch.layer), static_cast<uint16_t>(batch.experts[call]),
                    static_cast<uint16_t>(slice)};
        if (filter && !filter(unit)) continue;
        out.calls.push_back({unit.expert, unit.slice, batch.weights[call]});
      }
    }
  }
  return request;
}

ByteVector FakeCoordinator::frame_of(const SampleBatch& batch) {
  std::vector<uint32_t> rows(batch.input.tokens());
  for (uint32_t row = 0; row < rows.size(); ++row) rows[row] = row;
  return pack_activations(batch.input.view(), rows);
}

WorkerHarness::Sent<Partial> FakeCoordinator::ask(const Compute& request, ByteVector frame) {
  say(request, std::move(frame));
  auto answer = worker_.take_one<Partial>(key_);
  EXPECT_EQ(answer.message.work, request.work);
  EXPECT_EQ(answer.message.checksum,
            checksum_of(request.work, answer.message.row_flags, answer.tensor));
  return answer;
}

ExpertSums FakeCoordinator::compute(const SampleBatch& batch, uint32_t slices,
                                    const std::function<bool(UnitId)>& filter) {
  ExpertSums sums;
  sums.reset(batch.input.tokens(), batch.input.columns());
  Compute request = compute_message(batch, slices, filter);
  auto answer = ask(request, frame_of(batch));
  EXPECT_EQ(answer.message.status, PartialStatus::kOk) << answer.message.text;
  if (answer.message.status == PartialStatus::kOk) {
    add_answer(request, answer.message, answer.tensor, &sums);
  }
  return sums;
}

void add_answer(const Compute& request, const Partial& partial, ByteSpan sums, ExpertSums* out) {
  ASSERT_EQ(partial.row_flags.size(), request.rows.size());
  Status added = add_packed_sums(sums, std::numeric_limits<int64_t>::max() / 2, out->sums);
  ASSERT_TRUE(added.ok()) << added.error().message;
  for (size_t row = 0; row < partial.row_flags.size(); ++row) {
    out->flags[row] |= partial.row_flags[row];
  }
}

bool same(const ExpertSums& a, const ExpertSums& b) {
  return a.sums == b.sums && a.flags == b.flags;
}

}  // namespace potluck::test
