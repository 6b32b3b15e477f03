#include "tests/sim/sim_pool.h"

#include <algorithm>
#include <iostream>

#include <fmt/format.h>

#include "engine/base/check.h"

namespace potluck::sim {
namespace {

constexpr uint64_t kEpoch = 41;
constexpr size_t kBulkParts = 4;  // per turn of the loop
// Far more than any run needs: reaching one of them means that nothing moves on any more.
constexpr uint64_t kMostSteps = 3'000'000;
constexpr Duration kLongestRun = std::chrono::minutes(30);
constexpr Duration kTurn = std::chrono::milliseconds(50);
constexpr int64_t kInvitationSeconds = 3600;
const char* const kJoinEndpoint = "tcp://127.0.0.1:7001";
const char* const kComputeEndpoint = "tcp://127.0.0.1:7002";
const char* const kBulkEndpoint = "tcp://127.0.0.1:7003";

CoordinatorCoreOptions core_options(const SimPoolOptions& options, const KernelTable& kernels) {
  CoordinatorCoreOptions core;
  core.membership.epoch = kEpoch;
  core.membership.slices = options.slices;
  core.membership.self_test = kernel_self_test(kernels);
  core.membership.compute_endpoint = kComputeEndpoint;
  core.membership.bulk_endpoint = kBulkEndpoint;
  return core;
}

PeerKey device_key(Entropy& entropy) {
  PeerKey key;
  entropy.fill(std::as_writable_bytes(std::span(key.bytes)));
  return key;
}

DeviceKeys coordinator_keys(Entropy& entropy) {
  return {{device_key(entropy), {}}, SigningKey::generate(entropy)};
}

const char* name_of(FaultKind kind) {
  switch (kind) {
    case FaultKind::kKill:
      return "kill";
    case FaultKind::kVanish:
      return "vanish";
    case FaultKind::kRestart:
      return "restart";
    case FaultKind::kFreeze:
      return "freeze";
    case FaultKind::kCorrupt:
      return "corrupt";
    case FaultKind::kFlipBit:
      return "flip bit";
    case FaultKind::kNewcomer:
      return "newcomer";
    case FaultKind::kLie:
      return "lie";
    case FaultKind::kSilent:
      return "silence to workers";
    case FaultKind::kPartition:
      return "partition";
  }
  return "unknown";
}

}  // namespace

SimPool::SimPool(const SimModel& model, const SimPoolOptions& options)
    : model_(model),
      options_(options),
      random_(options.seed),
      network_(clock_, options.seed + 1, options.link),
      entropy_(options.seed),
      keys_(coordinator_keys(entropy_)),
      signed_manifest_(sign_manifest(model.manifest(), keys_.signing)),
      core_(core_options(options, model.kernels()), signed_manifest_, model.manifest(),
            model.model().cutter(), allow_list_, invitations_, clock_),
      threads_(options.threads),
      last_resort_(model.model().cutter(), kMiB),
      compute_(model.kernels(), threads_),
      executor_(core_, *this, model.model().cutter(), last_resort_, compute_, clock_) {
  network_.attach(keys_.curve.public_key);
  network_.set_tampering([this](Delivery& delivery) { tamper(delivery); });
}

void SimPool::add_worker(bool serves) {
  Invitation blank;
  blank.coordinator = keys_.curve.public_key;
  blank.signing_key = keys_.signing.public_key();
  blank.join_endpoint = kJoinEndpoint;
  PoolAddress address;
  address.coordinator = blank.coordinator;
  address.signing_key = blank.signing_key;
  address.invitation =
      invitations_.issue(blank, clock_.unix_seconds() + kInvitationSeconds, entropy_);
  SimWorkerOptions options{device_key(entropy_),
                           fmt::format("device-{}", workers_.size()),
                           options_.worker_ram_bytes,
                           options_.worker_disk_bytes,
                           serves,
                           options_.worker_model};
  auto find = [this](const PeerKey& key) -> const SimWorker* {
    for (const auto& worker : workers_) {
      if (worker->key() == key) return worker.get();
    }
    return nullptr;
  };
  workers_.push_back(
      std::make_unique<SimWorker>(options, model_.kernels(), clock_, network_, find));
  workers_.back()->start(address);
  // At its next start it knows where to go, whether or not its invitation was taken.
  address.compute_endpoint = kComputeEndpoint;
  address.bulk_endpoint = kBulkEndpoint;
  addresses_.push_back(address);
}

void SimPool::end_faults() {
  faults_.clear();
  corrupt_until_.clear();
  lies_until_.clear();
}

void SimPool::pump(Duration timeout) {
  send_outgoing();
  TimePoint deadline = clock_.now() + timeout;
  if (auto bulk = core_.next_bulk()) deadline = std::clamp(*bulk, clock_.now(), deadline);
  step_until(deadline);
  for (const Envelope& envelope : std::exchange(inbox_, {})) core_.on_frames(envelope);
  core_.on_tick();
  send_outgoing();
  for (const std::string& notice : core_.take_notices()) note(notice);
}

bool SimPool::run_until(const std::function<bool()>& condition, Duration limit) {
  TimePoint end = clock_.now() + limit;
  while (!condition()) {
    if (clock_.now() >= end) return false;
    pump(kTurn);
  }
  return true;
}

bool SimPool::at_rest() const {
  const ClusterState& cluster = core_.cluster();
  for (const auto& worker : workers_) {
    if (worker->running() != (cluster.worker(worker->key()) != nullptr)) return false;
  }
  if (!restarts_.empty()) return false;
  if (cluster.workers().empty()) return true;
  uint64_t units = 0;
  for (const ManifestLayer& layer : model_.manifest().layers()) {
    units += layer.experts * std::min(options_.slices, layer.plan.grains);
  }
  return cluster.units_assigned() == units && cluster.units_ready() == units;
}

size_t SimPool::running_workers() const {
  return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(),
                                           [](const auto& worker) { return worker->running(); }));
}

void SimPool::send_outgoing() {
  for (Outgoing& outgoing : core_.take_outgoing(kBulkParts)) {
    bool compute = std::holds_alternative<Compute>(outgoing.message);
    if (compute) check_compute(outgoing);
    Frames frames{encode_header(outgoing.message), std::move(outgoing.tensor)};
    Status sent =
        network_.send(keys_.curve.public_key, outgoing.peer, outgoing.channel, std::move(frames));
    if (!sent && outgoing.channel == Channel::kCompute) {
      core_.on_unreachable(outgoing.peer, sent.error().message);
    }
    if (!sent && outgoing.channel == Channel::kBulk) core_.on_bulk_not_sent(outgoing, true);
    if (!compute) continue;
    ++computes_sent_;
    for (const Fault& fault : std::vector<Fault>(faults_)) {
      if (fault.at_compute == computes_sent_) strike(fault);
    }
  }
}

void SimPool::check_compute(const Outgoing& outgoing) {
  if (core_.cluster().worker(outgoing.peer) != nullptr) return;
  violations_.push_back("work was sent to a worker that is known to be lost");
}

void SimPool::strike(const Fault& fault) {
  note(fmt::format("fault: {} of device-{} for {} ms", name_of(fault.kind), fault.worker,
                   fault.duration.count() / 1'000'000));
  if (fault.kind == FaultKind::kNewcomer) {
    add_worker();
    return;
  }
  SimWorker& worker = *workers_.at(fault.worker % workers_.size());
  TimePoint end = clock_.now() + fault.duration;
  switch (fault.kind) {
    case FaultKind::kKill:
      worker.kill(false);
      break;
    case FaultKind::kVanish:
      worker.kill(true);
      break;
    case FaultKind::kRestart:
      if (!worker.running()) break;
      worker.kill(false);
      restarts_.push_back({end, fault.worker % workers_.size()});
      break;
    case FaultKind::kFreeze:
      worker.freeze(end);
      break;
    case FaultKind::kCorrupt:
      corrupt_until_[worker.key()] = end;
      break;
    case FaultKind::kFlipBit:
      worker.flip_bit(random_.bits(computes_sent_));
      break;
    case FaultKind::kLie:
      lies_until_[worker.key()] = end;
      break;
    case FaultKind::kSilent:
      worker.serve_nothing();
      break;
    case FaultKind::kPartition:
      for (size_t i = 0; i < workers_.size(); ++i) {
        bool cut = (i + fault.worker) % 2 == 1 && workers_[i]->key() != worker.key();
        if (cut) network_.sever(worker.key(), workers_[i]->key());
      }
      break;
    case FaultKind::kNewcomer:
      break;
  }
}

void SimPool::cut(size_t worker, Duration duration) {
  TimePoint end = clock_.now() + duration;
  note(fmt::format("device-{} is cut off for {} ms", worker, duration.count() / 1'000'000));
  network_.cut(workers_.at(worker)->key(), keys_.curve.public_key, end);
  reconnections_.push_back({end, worker});
}

void SimPool::strike_served(const Delivery& delivery) {
  if (delivery.channel != Channel::kServe) return;
  ++parts_served_;
  for (const Fault& fault : faults_) {
    if (fault.at_served == parts_served_) due_faults_.push_back(fault);
  }
}

// Returns early when something has arrived for the coordinator.
void SimPool::step_until(TimePoint deadline) {
  while (inbox_.empty()) {
    TimePoint next = next_event();
    if (next > deadline) {
      clock_.set(std::max(clock_.now(), deadline));
      count_step();
      return;
    }
    clock_.set(std::max(clock_.now(), next));
    run_due_events();
    count_step();
  }
}

TimePoint SimPool::next_event() const {
  TimePoint next = network_.next_due().value_or(TimePoint::max());
  for (const auto& worker : workers_) {
    next = std::min(next, worker->next_tick().value_or(TimePoint::max()));
  }
  for (const Timer& restart : restarts_) next = std::min(next, restart.at);
  for (const Timer& reconnection : reconnections_) next = std::min(next, reconnection.at);
  return next;
}

void SimPool::run_due_events() {
  TimePoint now = clock_.now();
  for (const Fault& fault : std::exchange(due_faults_, {})) strike(fault);
  auto take_due = [now](std::vector<Timer>& timers) {
    std::vector<Timer> due;
    std::erase_if(timers, [&](const Timer& timer) {
      if (timer.at <= now) due.push_back(timer);
      return timer.at <= now;
    });
    return due;
  };
  for (const Timer& restart : take_due(restarts_)) {
    note(fmt::format("device-{} starts again", restart.worker));
    workers_[restart.worker]->start(addresses_[restart.worker]);
  }
  for (const Timer& reconnection : take_due(reconnections_)) {
    workers_[reconnection.worker]->reconnected();
  }
  while (network_.next_due() && *network_.next_due() <= now) {
    std::optional<Delivery> delivery = network_.take_due();
    if (!delivery) continue;
    for (const auto& worker : workers_) {
      if (worker->key() == delivery->to) worker->deliver(*delivery);
    }
    if (delivery->to == keys_.curve.public_key) {
      inbox_.push_back({delivery->from, delivery->channel, std::move(delivery->frames)});
    }
  }
  for (const auto& worker : workers_) {
    std::optional<TimePoint> tick = worker->next_tick();
    if (tick && *tick <= now) worker->tick();
  }
}

void SimPool::count_step() {
  if (++steps_ < kMostSteps && clock_.now() < kLongestRun) return;
  std::cerr << "the simulation does not end: seed " << options_.seed << ", " << steps_
            << " steps\n";
  for (const std::string& line : log_) std::cerr << line << "\n";
  CHECK(steps_ < kMostSteps && clock_.now() < kLongestRun);
}

// Memory goes bad in a device: what it answers, or what it takes in from the network. Messages that
// are not protected end to end by a checksum or a digest are spared; the links are encrypted.
void SimPool::tamper(Delivery& delivery) {
  strike_served(delivery);
  auto lies = lies_until_.find(delivery.from);
  bool lying = lies != lies_until_.end() && clock_.now() < lies->second;
  if (lying && delivery.channel == Channel::kServe && !delivery.frames.tensor.empty()) {
    uint64_t draw = random_.bits(delivery.number, 2);
    ByteVector& bytes = delivery.frames.tensor;
    if (draw % 2 == 0) bytes[(draw >> 8) % bytes.size()] ^= std::byte{1};
  }
  const PeerKey& device = delivery.to == keys_.curve.public_key ? delivery.from : delivery.to;
  auto corrupt = corrupt_until_.find(device);
  if (corrupt == corrupt_until_.end() || clock_.now() >= corrupt->second) return;
  uint64_t draw = random_.bits(delivery.number, 1);
  if (draw % 2 == 0) return;
  Result<Message> message = decode_header(delivery.frames.header);
  bool answer = message && std::holds_alternative<Partial>(*message);
  bool grain = message && std::holds_alternative<BulkData>(*message);
  if (!answer && !grain) return;
  ByteVector altered = delivery.frames.header;
  bool header = answer && draw % 4 == 1;
  ByteVector& bytes = header ? altered : delivery.frames.tensor;
  if (bytes.empty()) return;
  bytes[(draw >> 8) % bytes.size()] ^= std::byte{static_cast<uint8_t>(1u << (draw >> 4) % 8)};
  if (!header) return;
  // A header that turns into another verb is beyond what a checksum of answers can notice.
  Result<Message> after = decode_header(altered);
  if (!after || std::holds_alternative<Partial>(*after)) delivery.frames.header = altered;
}

void SimPool::note(const std::string& text) {
  log_.push_back(
      fmt::format("{:9.3f} s  {}", std::chrono::duration<double>(clock_.now()).count(), text));
}

}  // namespace potluck::sim
