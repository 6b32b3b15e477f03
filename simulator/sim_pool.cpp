#include "simulator/sim_pool.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"

namespace potluck::sim {
namespace {

constexpr uint64_t kFirstEpoch = 41;
// Messages of the coordinator in a turn: of each kind one to every peer that it knows, work and
// bulk.
constexpr uint64_t kMostPerTurn = 2000;
// Kept of the log.
constexpr size_t kMostLines = 20'000;
constexpr Duration kTurn = std::chrono::milliseconds(50);
constexpr Duration kNextTry = std::chrono::seconds(10);
constexpr int64_t kInvitationSeconds = 3600;
const char* const kSpreadFolder = "spread";
const char* const kJoinEndpoint = "tcp://127.0.0.1:7001";
const char* const kComputeEndpoint = "tcp://127.0.0.1:7002";
const char* const kBulkEndpoint = "tcp://127.0.0.1:7003";

// The same host, other ports.
std::string moved(const std::string& endpoint, uint64_t moves) {
  size_t port = endpoint.rfind(':') + 1;
  return endpoint.substr(0, port) + std::to_string(std::stoul(endpoint.substr(port)) + 10 * moves);
}

CoordinatorCoreOptions core_options(const SimPoolOptions& options, const KernelTable& kernels,
                                    uint64_t epoch, uint64_t moves, QuarantineList* quarantine,
                                    const DeviceKeys& keys, Entropy& entropy) {
  CoordinatorCoreOptions core;
  core.dispatch = {options.verify, options.seed};
  core.membership.quarantine = quarantine;
  core.membership.epoch = epoch;
  core.membership.slices = options.slices;
  core.membership.replicas = options.replicas;
  if (options.own_bytes > 0) {
    core.membership.own.emplace();
    core.membership.own->local = true;
    core.membership.own->ram_bytes = options.own_bytes;
  }
  core.membership.founding_workers = options.founding_workers;
  core.membership.top_k = options.top_k;
  core.membership.kernels = kernel_self_test(kernels);
  core.membership.compute_endpoint = moved(kComputeEndpoint, moves);
  core.membership.bulk_endpoint = moved(kBulkEndpoint, moves);
  core.membership.signing_key = keys.signing.public_key();
  core.key = keys.curve.public_key;
  core.name = "pool";
  core.entropy = &entropy;
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

SimPool::SimPool(const PoolModel& model, const SimPoolOptions& options)
    : model_(model),
      options_(options),
      random_(options.seed),
      network_(clock_, options.seed + 1, options.link),
      entropy_(options.seed),
      keys_(coordinator_keys(entropy_)),
      signed_manifest_(sign_manifest(model.manifest(), keys_.signing)),
      threads_(options.threads),
      last_resort_(model.cutter(), kMiB),
      compute_(model.kernels(), threads_),
      epoch_(kFirstEpoch),
      spread_folder_(spread_disk_, kSpreadFolder),
      source_(model),
      traffic_("the coordinator", kMostPerTurn) {
  network_.set_tampering([this](NetworkMessage& sent) { tamper(sent); });
  start_coordinator();
}

void SimPool::start_coordinator() {
  CHECK(!coordinator_runs());
  network_.attach(keys_.curve.public_key);
  network_.listen_at(keys_.curve.public_key, {kJoinEndpoint, moved(kComputeEndpoint, moves_),
                                              moved(kBulkEndpoint, moves_)});
  CoordinatorCoreOptions options =
      core_options(options_, model_.kernels(), epoch_++, moves_, &quarantine_, keys_, entropy_);
  if (options_.spread_window > 0) begin_spreading(&options);
  core_ = std::make_unique<CoordinatorCore>(
      options, spread_ ? spread_->spreader().manifest().signed_manifest : signed_manifest_,
      spread_ ? spread_->spreader().manifest().manifest : model_.manifest(), model_.cutter(),
      allow_list_, invitations_, clock_);
  CoordinatorLoopObserver observer;
  observer.notice = [this](const LogEvent& event) { note("pool: " + event.message); };
  observer.turned = [this] { after_turn(); };
  loop_ = std::make_unique<CoordinatorLoop>(*core_, static_cast<Transport&>(*this), clock_,
                                            std::move(observer));
  GrainSource& last_resort = spread_ ? static_cast<GrainSource&>(spread_->window()) : last_resort_;
  executor_ =
      std::make_unique<RemoteExecutor>(*loop_, model_.cutter(), last_resort, compute_, clock_);
}

void SimPool::begin_spreading(CoordinatorCoreOptions* options) {
  SpreadAbout about;
  about.source = "the source";
  about.parts = {"model.gguf"};
  about.identities = {"the same"};
  about.replicas = options_.replicas;
  CHECK(spread_folder_.save_about(about));
  spread_ = std::make_unique<SimSpread>(model_, spread_folder_, source_, keys_.signing,
                                        options_.slices, options_.replicas, options_.spread_window);
  CHECK(spread_->spreader().begin());
  options->membership.outline = &spread_->outline();
  options->grains = &spread_->window();
  options->dispatch.last_resort = false;
}

void SimPool::stop_coordinator(bool quietly) {
  note("the coordinator ends");
  network_.detach(keys_.curve.public_key, quietly);
  executor_.reset();
  loop_.reset();
  core_.reset();
  spread_.reset();
  inbox_.clear();
}

void SimPool::freeze_coordinator(Duration duration) {
  note("the coordinator is frozen");
  compute_for(duration);
}

void SimPool::stall_coordinator(Duration duration) {
  frozen_until_ = std::max(frozen_until_, clock_.now() + duration);
}

void SimPool::compute_for(Duration duration) {
  stall_coordinator(duration);
  step_until(frozen_until_);
}

Invitation SimPool::invite() {
  Invitation blank;
  blank.coordinator = keys_.curve.public_key;
  blank.signing_key = keys_.signing.public_key();
  blank.endpoints = {kJoinEndpoint};
  return invitations_.issue(blank, clock_.unix_seconds() + kInvitationSeconds, entropy_);
}

void SimPool::allow(const PeerKey& key) {
  CHECK(allow_list_.add(key, "puppet").ok());
}

void SimPool::add_actor(std::unique_ptr<SimActor> actor) {
  actors_.push_back(std::move(actor));
}

// Actors let every peer in.
bool SimPool::lets_in(const PeerKey& server, const PeerKey& peer) const {
  auto worker = worker_index_.find(server);
  if (worker != worker_index_.end()) return workers_[worker->second]->admits(peer);
  return actor_of(server) != nullptr;
}

SimActor* SimPool::actor_of(const PeerKey& key) const {
  for (const auto& actor : actors_) {
    if (actor->is(key)) return actor.get();
  }
  return nullptr;
}

// As the options have it for all, or for the next one that comes.
DeviceOptions SimPool::next_device(bool serves) const {
  DeviceOptions device;
  device.ram_bytes = options_.worker_ram_bytes;
  device.disk_bytes = options_.worker_disk_bytes;
  size_t index = workers_.size();
  bool own_time = index < options_.call_times.size();
  device.call_time = own_time ? options_.call_times[index] : options_.worker_call_time;
  if (index < options_.speeds.size()) device.speed = options_.speeds[index];
  device.serves = serves;
  return device;
}

void SimPool::add_worker(bool serves) {
  add_worker(next_device(serves));
}

void SimPool::add_worker(const DeviceOptions& device) {
  PoolAddress address;
  address.invitation = invite();
  address.coordinator = address.invitation->coordinator;
  address.signing_key = address.invitation->signing_key;
  add_device(std::move(address), device, device_key(entropy_));
}

void SimPool::add_stranger() {
  PoolAddress address;
  address.coordinator = keys_.curve.public_key;
  const PeerKey key = device_key(entropy_);
  PairingOffer& offer = address.pairing.emplace();
  offer.own_key = key;
  offer.endpoints = {kJoinEndpoint};
  entropy_.fill(std::as_writable_bytes(std::span(offer.nonce)));
  add_device(std::move(address), next_device(true), key);
}

void SimPool::add_device(PoolAddress address, const DeviceOptions& device, const PeerKey& key) {
  size_t index = workers_.size();
  SimWorkerOptions options{key,
                           device.name.empty() ? fmt::format("device-{}", index) : device.name,
                           device.ram_bytes,
                           device.disk_bytes,
                           device.serves,
                           options_.worker_serve_rate,
                           options_.worker_model,
                           random_.bits(index, 7),
                           device.disk_rate,
                           device.call_time,
                           options_.validate_workers,
                           options_.observer,
                           device.speed,
                           device.storage,
                           device.battery,
                           device.limits,
                           device.writes_per_day};
  if (device.link) network_.set_link(key, *device.link);
  worker_index_[key] = index;
  auto lets_in = [this](const PeerKey& server, const PeerKey& peer) {
    return this->lets_in(server, peer);
  };
  workers_.push_back(
      std::make_unique<SimWorker>(options, model_.kernels(), clock_, network_, lets_in));
  CHECK(workers_.back()->start(address));  // its disk is empty
  // At its next start it knows where to go, whether or not its invitation was taken.
  address.pairing.reset();
  address.signing_key = keys_.signing.public_key();
  address.compute_endpoint = kComputeEndpoint;
  address.bulk_endpoint = kBulkEndpoint;
  address.places = {{kJoinEndpoint, kComputeEndpoint, kBulkEndpoint}};
  addresses_.push_back(address);
}

void SimPool::end_faults() {
  faults_.clear();
  corrupt_until_.clear();
  lies_until_.clear();
}

void SimPool::turn() {
  if (!coordinator_runs()) {
    step_until(clock_.now() + kTurn);
    return;
  }
  loop_->turn(kTurn);
}

// Also of the turns that the executor takes while it waits.
void SimPool::after_turn() {
  end_record();
  bool moved = heard_ > 0 || clock_.now() > last_turn_;
  last_turn_ = clock_.now();
  heard_ = 0;
  traffic_.end_turn();
  progress_.after_turn(moved, loop_->next_due());
  if (progress_.spins()) clock_.advance(kTurn);
  if (spread_) spread_->turn(*core_, allow_list_.size(), clock_.now());
}

bool SimPool::run_until(const std::function<bool()>& condition, Duration limit) {
  TimePoint end = clock_.now() + limit;
  while (!condition()) {
    if (clock_.now() >= end) return false;
    turn();
  }
  return true;
}

void SimPool::run_for(Duration duration) {
  run_until([] { return false; }, duration);
}

std::vector<std::string> SimPool::violations() const {
  std::vector<std::string> all = violations_;
  auto add = [&](const std::vector<std::string>& more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  add(progress_.violations());
  add(traffic_.violations());
  for (const auto& worker : workers_) add(worker->violations());
  add(misjudged());
  return all;
}

std::vector<std::string> SimPool::stalled_loops() const {
  std::vector<std::string> all = progress_.violations();
  for (const auto& worker : workers_) {
    const std::vector<std::string>& more = worker->stalled_loop();
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

std::vector<std::string> SimPool::misjudged() const {
  std::vector<std::string> all;
  for (const auto& worker : workers_) {
    bool honest = !liars_.contains(worker->key());
    if (honest && quarantine_.entries().contains(worker->key())) {
      all.push_back(worker->name() + " is honest and was put into quarantine");
    }
  }
  return all;
}

bool SimPool::at_rest() const {
  if (!coordinator_runs()) return false;
  const ClusterState& cluster = core_->cluster();
  for (const auto& worker : workers_) {
    if (worker->running() != (cluster.worker(worker->key()) != nullptr)) return false;
  }
  return restarts_.empty() && holds_everything();
}

bool SimPool::holds_everything() const {
  const ClusterState& cluster = core_->cluster();
  if (cluster.workers().empty()) return true;
  uint64_t units = 0;
  for (const ManifestLayer& layer : model_.manifest().layers()) {
    uint32_t own = 0;
    while (cluster.is_own(layer.layer, own)) ++own;
    units += (layer.experts - own) * std::min(options_.slices, layer.plan.grains);
  }
  // One in quarantine gets nothing, nor does one that pauses or with which a token would be slower.
  size_t trusted = 0;
  for (const auto& [key, record] : cluster.workers()) {
    if (record.quarantine || record.health.pauses()) continue;
    if (core_->shares().weight(key) > 0) ++trusted;
  }
  units *= std::min<size_t>(options_.replicas, trusted);
  return cluster.units_assigned() == units && cluster.units_ready() == units;
}

size_t SimPool::running_workers() const {
  return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(),
                                           [](const auto& worker) { return worker->running(); }));
}

Status SimPool::send(const PeerKey& peer, Channel channel, Frames frames) {
  Result<Message> message = decode_header(frames.header);
  bool compute = message && std::holds_alternative<Compute>(*message);
  if (compute && core_->cluster().worker(peer) == nullptr) {
    violations_.push_back("work was sent to a worker that is known to be lost");
  }
  if (message) count_sent(peer, channel, *message, frames);
  Status sent = network_.send(keys_.curve.public_key, peer, channel, std::move(frames));
  if (!compute) return sent;
  ++computes_sent_;
  for (const Fault& fault : std::vector<Fault>(faults_)) {
    if (fault.at_compute == computes_sent_) strike(fault);
  }
  return sent;
}

void SimPool::count_sent(const PeerKey& peer, Channel channel, const Message& message,
                         const Frames& frames) {
  bool control =
      !std::holds_alternative<Compute>(message) && !std::holds_alternative<BulkData>(message);
  traffic_.sent(peer, clock_.now(), control, frames.bytes());
  if (record_) record_->sent.push_back({peer, channel, message});
}

// What the core is about to handle. With more than one message in a turn nothing tells which of
// them led to what.
void SimPool::record_heard(const Envelope& envelope) {
  const TurnObserver& observer = options_.observer;
  bool first = ++heard_ == 1;
  record_.reset();
  if (!first || !observer.wants || !observer.wants(envelope.peer)) return;
  Result<Message> message = decode_header(envelope.frames.header);
  if (!message) return;
  TurnRecord& record = record_.emplace();
  record.from = envelope.peer;
  record.channel = envelope.channel;
  record.message = std::move(*message);
  record.pool_before = known_of(envelope.peer);
}

void SimPool::end_record() {
  if (!record_) return;
  record_->pool_after = known_of(record_->from);
  options_.observer.turned(*record_);
  record_.reset();
}

TurnRecord::Pool SimPool::known_of(const PeerKey& sender) const {
  TurnRecord::Pool known;
  const WorkerRecord* record = core_->cluster().worker(sender);
  if (record != nullptr) known.sender = *record;
  known.statistics = core_->dispatcher().statistics();
  return known;
}

// The coordinator waits: everything else goes on until something has come for it, or until it is
// woken, some time after the moment for which it waits.
std::optional<Envelope> SimPool::receive(Duration timeout) {
  if (timeout > Duration::zero()) step_until(clock_.now() + timeout + draw_lateness());
  if (inbox_.empty()) return std::nullopt;
  Envelope envelope = std::move(inbox_.front());
  inbox_.pop_front();
  record_heard(envelope);
  return envelope;
}

Duration SimPool::draw_lateness() {
  uint64_t draw = random_.bits(++waits_, 9);
  if (draw % 4 == 0) return Duration::zero();
  return std::chrono::microseconds((draw >> 8) % (draw % 64 == 1 ? 300'000 : 2'000));
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

void SimPool::make_liar(size_t worker, LieKind kind, uint64_t one_in) {
  const auto* model = dynamic_cast<const SimModel*>(&model_);
  CHECK(model != nullptr);  // a true answer has to be computed first
  liars_[workers_.at(worker)->key()] =
      std::make_unique<Liar>(*model, kind, one_in, random_.bits(worker, 11));
}

// A lie is told before the checksum, a question heard as it is sent.
void SimPool::lie(NetworkMessage& sent) {
  const PeerKey& coordinator = keys_.curve.public_key;
  auto liar = liars_.find(sent.to == coordinator ? sent.from : sent.to);
  if (liar == liars_.end() || sent.channel != Channel::kCompute) return;
  Result<Message> message = decode_header(sent.frames.header);
  if (!message) return;
  if (const auto* request = std::get_if<Compute>(&*message)) {
    liar->second->asked(*request, sent.frames.tensor);
  } else if (auto* answer = std::get_if<Partial>(&*message)) {
    if (!liar->second->alter(answer, &sent.frames.tensor)) return;
    sent.frames.header = encode_header(*message);
  }
}

void SimPool::cut(size_t worker, Duration duration) {
  note(fmt::format("device-{} is cut off for {} ms", worker, duration.count() / 1'000'000));
  network_.cut(workers_.at(worker)->key(), keys_.curve.public_key, clock_.now() + duration);
}

void SimPool::strike_served(const NetworkMessage& sent) {
  if (sent.channel != Channel::kServe) return;
  ++parts_served_;
  for (const Fault& fault : faults_) {
    if (fault.at_served == parts_served_) due_faults_.push_back(fault);
  }
}

// Returns early when something has arrived for the coordinator.
void SimPool::step_until(TimePoint deadline) {
  while (inbox_.empty() || clock_.now() < frozen_until_) {
    TimePoint next = next_event();
    // Frozen in the middle of its wait, it wakes later.
    TimePoint end = std::max(deadline, frozen_until_);
    if (next > end) {
      clock_.set(std::max(clock_.now(), end));
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
    next = std::min(next, worker->next_wake().value_or(TimePoint::max()));
  }
  for (const auto& actor : actors_) next = std::min(next, actor->next_act());
  for (const Timer& restart : restarts_) next = std::min(next, restart.at);
  if (!schedule_.empty()) next = std::min(next, schedule_.begin()->first);
  return next;
}

void SimPool::restart_worker(size_t worker) {
  SimWorker& process = *workers_.at(worker);
  if (process.running()) return;
  note(fmt::format("{} starts again", process.name()));
  PoolAddress address = addresses_[worker];
  // Some people repeat the whole command, others leave the invitation out.
  if (worker % 2 == 1 && allow_list_.contains(process.key())) address.invitation.reset();
  if (process.start(address)) return;
  note(fmt::format("{} cannot start: its disk does not let it", process.name()));
  restarts_.push_back({clock_.now() + kNextTry, worker});
}

void SimPool::run_due_events() {
  TimePoint now = clock_.now();
  for (const Fault& fault : std::exchange(due_faults_, {})) strike(fault);
  std::vector<Timer> due;
  std::erase_if(restarts_, [&](const Timer& restart) {
    if (restart.at <= now) due.push_back(restart);
    return restart.at <= now;
  });
  for (const Timer& restart : due) restart_worker(restart.worker);
  while (!schedule_.empty() && schedule_.begin()->first <= now) {
    auto act = std::move(schedule_.extract(schedule_.begin()).mapped());
    act();
  }
  while (network_.next_due() && *network_.next_due() <= now) {
    std::optional<NetworkMessage> sent = network_.take_due();
    if (sent) deliver(*sent);
  }
  for (const auto& actor : actors_) {
    if (actor->next_act() <= now) actor->act();
  }
  for (const auto& worker : workers_) {
    std::optional<TimePoint> wake = worker->next_wake();
    if (wake && *wake <= now) worker->wake();
  }
}

void SimPool::deliver(const NetworkMessage& sent) {
  for (const auto& actor : actors_) {
    if (actor->is(sent.to)) actor->hear(sent);
  }
  auto worker = worker_index_.find(sent.to);
  if (worker != worker_index_.end()) workers_[worker->second]->deliver(sent);
  if (sent.to == keys_.curve.public_key && coordinator_runs()) {
    inbox_.push_back({sent.from, sent.channel, sent.frames});
  }
}

void SimPool::count_step() {
  if (++steps_ < options_.most_steps && clock_.now() < options_.longest_run) return;
  std::string text =
      fmt::format("the simulation does not end: seed {}, {} steps\n", options_.seed, steps_);
  for (const std::string& line : log_) text += line + "\n";
  check_failed(text.c_str(), __FILE__, __LINE__);
}

// Memory goes bad in a device: what it answers, or what it takes in from the network. Messages that
// are not protected end to end by a checksum or a digest are spared; the links are encrypted.
void SimPool::tamper(NetworkMessage& sent) {
  strike_served(sent);
  lie(sent);
  auto lies = lies_until_.find(sent.from);
  bool lying = lies != lies_until_.end() && clock_.now() < lies->second;
  if (lying && sent.channel == Channel::kServe && !sent.frames.tensor.empty()) {
    uint64_t draw = random_.bits(sent.number, 2);
    ByteVector& bytes = sent.frames.tensor;
    if (draw % 2 == 0) bytes[(draw >> 8) % bytes.size()] ^= std::byte{1};
  }
  const PeerKey& device = sent.to == keys_.curve.public_key ? sent.from : sent.to;
  auto corrupt = corrupt_until_.find(device);
  if (corrupt == corrupt_until_.end() || clock_.now() >= corrupt->second) return;
  uint64_t draw = random_.bits(sent.number, 1);
  if (draw % 2 == 0) return;
  Result<Message> message = decode_header(sent.frames.header);
  bool answer = message && std::holds_alternative<Partial>(*message);
  bool grain = message && std::holds_alternative<BulkData>(*message);
  if (!answer && !grain) return;
  ByteVector altered = sent.frames.header;
  bool header = answer && draw % 4 == 1;
  ByteVector& bytes = header ? altered : sent.frames.tensor;
  if (bytes.empty()) return;
  bytes[(draw >> 8) % bytes.size()] ^= std::byte{static_cast<uint8_t>(1u << (draw >> 4) % 8)};
  if (!header) return;
  // A header that turns into another verb is beyond what a checksum of answers can notice.
  Result<Message> after = decode_header(altered);
  if (!after || std::holds_alternative<Partial>(*after)) sent.frames.header = altered;
}

void SimPool::note(const std::string& text) {
  if (record_) record_->notices.push_back(text);
  if (log_.size() == kMostLines) log_.erase(log_.begin(), log_.begin() + kMostLines / 2);
  log_.push_back(
      fmt::format("{:9.3f} s  {}", std::chrono::duration<double>(clock_.now()).count(), text));
}

std::unique_ptr<SimPool> pool_at_rest(const SimModel& model, uint64_t seed) {
  SimPoolOptions options;
  options.seed = seed;
  options.slices = 2;
  options.worker_call_time = std::chrono::milliseconds(2);
  auto pool = std::make_unique<SimPool>(model, options);
  for (int i = 0; i < 3; ++i) pool->add_worker();
  CHECK(pool->run_until([&] { return pool->at_rest(); }, std::chrono::seconds(600)));
  return pool;
}

}  // namespace potluck::sim
