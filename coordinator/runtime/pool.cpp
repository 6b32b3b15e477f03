// The order of open() is one of needs: the manifest is signed with the keys; the sockets tell the
// core which endpoints it has; workers are started when there is something that answers them. The
// keeper comes last and goes first, since from then on another thread uses all of it.
#include "coordinator/runtime/pool.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>

#include <fmt/format.h>

#include "coordinator/runtime/epoch.h"
#include "coordinator/runtime/pool_spread.h"
#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"
#include "engine/experts/manifest_builder.h"
#include "protocol/udp_socket.h"

namespace potluck {
namespace {

constexpr int64_t kInvitationSeconds = 24 * 3600;
// Nothing at all moved for so long while waiting for workers: something is wrong.
constexpr Duration kPatience = std::chrono::seconds(60);
constexpr Duration kWaitStep = std::chrono::milliseconds(50);
// For members that were there before a restart, after the first of them is back.
constexpr Duration kGathering = std::chrono::seconds(1);
// How often the door for strangers is looked at.
constexpr Duration kStrangerLook = std::chrono::milliseconds(50);
// How often it is said that some were turned away.
constexpr Duration kStrangerInterval = std::chrono::seconds(10);

uint16_t port_of(const std::string& endpoint) {
  return static_cast<uint16_t>(
      std::strtoul(endpoint.c_str() + endpoint.rfind(':') + 1, nullptr, 10));
}

// The one interface by which the pool is reached; empty if it is by all of them.
std::string listening_interface(const ListenPlace& place) {
  if (place.all_interfaces) return {};
  for (const LocalAddress& address : local_addresses()) {
    if (endpoint_host(address.address) == place.bind_host) return address.interface;
  }
  return place.loopback_only ? "lo" : "";
}

std::string with_host(const std::string& endpoint, const std::string& host) {
  return fmt::format("tcp://{}{}", host, endpoint.substr(endpoint.rfind(':')));
}

}  // namespace

Pool::Pool(PoolOptions options, const Model& model, ThreadPool& threads, Storage& storage,
           const Clock& clock, Entropy& entropy, const DeviceKeys& keys)
    : options_(std::move(options)),
      model_(model),
      threads_(threads),
      storage_(storage),
      clock_(clock),
      entropy_(entropy),
      keys_(keys) {}

Result<std::unique_ptr<Pool>> Pool::open(PoolOptions options, const Model& model,
                                         const KernelTable& kernels, ThreadPool& threads,
                                         Storage& storage, const Clock& clock, Entropy& entropy,
                                         const Progress& progress) {
  Result<DeviceKeys> keys = options.state_directory.empty()
                                ? Result<DeviceKeys>(ephemeral_keys(entropy))
                                : load_or_create_keys(storage, options.state_directory, entropy);
  if (!keys) return keys.error();
  std::unique_ptr<Pool> pool(new Pool(std::move(options), model, threads, storage, clock, entropy,
                                      std::move(keys).value()));
  if (Status status = pool->load_identity(storage); !status) return status.error();
  if (Status status = pool->make_manifest(progress); !status) return status.error();
  if (Status status = pool->open_sockets(); !status) return status.error();
  pool->make_core(kernels);
  pool->open_beacon();
  if (Status status = pool->start_local_workers(); !status) return status.error();
  pool->keeper_ = std::make_unique<LoopKeeper>(*pool->loop_, clock);
  if (pool->spread_ != nullptr) {
    pool->spread_->start(*pool->loop_, [pool = pool.get()] { return pool->allow_list_.size(); });
  }
  return pool;
}

Status Pool::load_identity(Storage& storage) {
  if (options_.state_directory.empty()) {
    // Without a place to count, a random one: no worker will see the same number again.
    epoch_ = entropy_.next64() >> 1;
    return {};
  }
  Result<AllowList> list = AllowList::load(storage, options_.state_directory + "/members");
  if (!list) return list.error();
  allow_list_ = std::move(list).value();
  auto quarantine = QuarantineList::load(storage, options_.state_directory + "/quarantine");
  if (!quarantine) return quarantine.error();
  quarantine_ = std::move(quarantine).value();
  Result<uint64_t> epoch = next_epoch(storage, options_.state_directory + "/epoch");
  if (!epoch) return epoch.error();
  epoch_ = *epoch;
  return {};
}

// All experts are read and hashed the first time; later starts find the digests in the records, by
// the file's fingerprint.
Status Pool::make_manifest(const Progress& progress) {
  if (options_.spread != nullptr) {
    spread_ = std::make_unique<PoolSpread>(*options_.spread, model_.cutter(), model_.config().name,
                                           keys_.signing, options_.slices, clock_, options_.log);
    return spread_->begin();
  }
  std::optional<LayerRecords> records;
  if (!options_.records_directory.empty()) {
    auto fingerprint = model_.file().fingerprint();
    if (!fingerprint) return fingerprint.error();
    records.emplace(storage_, options_.records_directory, *fingerprint);
  }
  ManifestBuilder builder(model_.cutter(), threads_, nullptr, records ? &*records : nullptr);
  auto manifest = builder.build(model_.config().name, progress);
  if (!manifest) return manifest.error();
  manifest_ = std::make_unique<Manifest>(std::move(*manifest));
  signed_manifest_ = sign_manifest(*manifest_, keys_.signing);
  return {};
}

Status Pool::open_sockets() {
  ZmqServerTransport::Options options{keys_.curve, options_.listen.bind_host,
                                      options_.listen.reachable.front(), options_.port};
  auto transport = ZmqServerTransport::listen(options, allow_list_);
  // Any port will do for a pool of local workers alone: then it is not the flag that helps.
  if (!transport) return options_.port == 0 ? transport.error() : transport.error().in("--listen");
  transport_ = std::move(transport).value();
  transport_->open_join(false);  // until a device is invited
  for (const uint16_t port : transport_->missed_ports()) {
    log({LogLevel::kWarning, "pool",
         fmt::format(
             "port {} is taken by another program: workers that were away have to ask for "
             "the one that is used instead, and a firewall may not let it through. Free "
             "the port, or take another one with --listen (the two behind it are used, too)",
             port)});
  }
  return {};
}

void Pool::make_core(const KernelTable& kernels) {
  CoordinatorCoreOptions core;
  core.membership.epoch = epoch_;
  core.membership.slices = options_.slices;
  core.membership.replicas = options_.replicas;
  core.membership.prefer = options_.prefer;
  core.membership.top_k = model_.config().router.top_k;
  core.membership.own = own_facts(kernels);
  core.membership.kernels = kernel_self_test(kernels);
  core.membership.compute_endpoint = transport_->compute_endpoint();
  core.membership.bulk_endpoint = transport_->bulk_endpoint();
  core.membership.signing_key = keys_.signing.public_key();
  core.membership.founding_workers = options_.local_workers;
  // After a restart all members are back within a second. Placed together, they get the units that
  // they hold already; one by one, the first would get all and the others what is left.
  if (options_.local_workers == 0 && allow_list_.size() > 1) {
    core.membership.founding_workers = static_cast<uint32_t>(allow_list_.size());
    core.membership.founding_patience = kGathering;
  }
  core.membership.max_workers = limits::kWorkers;
  core.membership.quarantine = &quarantine_;
  core.serve_rate = options_.serve_rate;
  core.dispatch = {options_.verify, entropy_.next64()};
  core.key = keys_.curve.public_key;
  core.name = options_.name;
  if (options_.beacon) core.entropy = &entropy_;
  if (spread_ != nullptr) {
    core.membership.outline = &spread_->outline();
    core.grains = &spread_->grains();
    core.dispatch.last_resort = false;
  }
  const SignedManifest& named = spread_ != nullptr ? spread_->signed_manifest() : signed_manifest_;
  core_ = std::make_unique<CoordinatorCore>(core, named, manifest(), model_.cutter(), allow_list_,
                                            invitations_, clock_);
  CoordinatorLoopObserver observer;
  observer.notice = [this](const LogEvent& event) { log(event); };
  observer.turned = [this] {
    tell_own_experts();
    look_after_strangers();
  };
  observer.accepting = [this](const PeerKey& peer, JoinAccept* accept) { tell_ways(peer, accept); };
  loop_ = std::make_unique<CoordinatorLoop>(*core_, *transport_, clock_, std::move(observer));
  last_resort_ = std::make_unique<GgufSource>(model_.cutter(), options_.last_resort_bytes);
  compute_ = std::make_unique<ExpertCompute>(kernels, threads_);
  own_experts_ =
      std::make_unique<OwnExpertSource>(model_.cutter(), *last_resort_, options_.own_bytes);
  executor_ = std::make_unique<RemoteExecutor>(*loop_, model_.cutter(), *own_experts_, *compute_,
                                               clock_, options_.prefetch);
}

// This process as a device that holds experts: its memory is its own to give, its speed measured.
std::optional<DeviceFacts> Pool::own_facts(const KernelTable& kernels) {
  if (options_.own_bytes == 0) return std::nullopt;
  DeviceFacts facts;
  facts.local = true;
  facts.ram_bytes = options_.own_bytes;
  facts.threads = static_cast<uint32_t>(threads_.threads());
  std::set<TensorType> formats;
  for (const ManifestLayer& layer : manifest().layers()) {
    formats.insert({layer.shape.gate, layer.shape.up, layer.shape.down});
  }
  for (TensorType format : formats) {
    facts.products.push_back(measure_product_speed(format, kernels, threads_, clock_));
  }
  return facts;
}

// The executor's thread computes them; who may have which is decided here.
void Pool::tell_own_experts() {
  const std::vector<uint32_t>& own = cluster().own_experts();
  if (own == own_told_) return;
  own_told_ = own;
  own_experts_->set_own(own);
}

Status Pool::start_local_workers() {
  local_ = std::make_unique<LocalWorkers>(options_.local, storage_);
  for (uint32_t i = 0; i < options_.local_workers; ++i) {
    if (Status status = local_->start(invite().token()); !status) return status;
  }
  return {};
}

const Manifest& Pool::manifest() {
  return spread_ != nullptr ? spread_->manifest() : *manifest_;
}

std::optional<SpreadProgress> Pool::spread_progress() {
  auto lock = loop_->lock();
  return spread_ != nullptr ? std::optional(spread_->progress()) : std::nullopt;
}

std::string Pool::spread_source() const {
  return spread_ != nullptr ? source_path(spread_->model().about().source) : std::string();
}

Pool::~Pool() {
  if (spread_ != nullptr) spread_->stop();
  keeper_.reset();  // so that the local workers leaving is no news
  if (local_ != nullptr) local_->stop();
}

Invitation Pool::invite() {
  Invitation blank;
  blank.coordinator = keys_.curve.public_key;
  for (PoolPlace& place : places()) blank.endpoints.push_back(std::move(place.join));
  auto lock = loop_->lock();
  // At once, although the loop opens the door too: the worker may knock before its next look.
  transport_->open_join(true);
  return invitations_.issue(blank, clock_.unix_seconds() + kInvitationSeconds, entropy_);
}

// Asked for anew each time: a machine that listens on all interfaces gets other addresses.
std::vector<PoolPlace> Pool::places() const {
  const std::array endpoints = {transport_->join_endpoint(), transport_->compute_endpoint(),
                                transport_->bulk_endpoint()};
  std::vector<PoolPlace> places;
  auto add = [&](const std::string& host, uint32_t port) {
    if (places.size() == Invitation::kMostEndpoints) return;
    std::array<std::string, 3> ways;
    for (size_t i = 0; i < ways.size(); ++i) {
      // Outside a NAT the three ports stand side by side.
      ways[i] =
          port == 0 ? with_host(endpoints[i], host) : fmt::format("tcp://{}:{}", host, port + i);
    }
    places.push_back({ways[0], ways[1], ways[2]});
  };
  for (const AdvertisedHost& advertised : options_.advertised) {
    add(advertised.host, advertised.port);
  }
  ListenPlace now = options_.listen;
  if (now.all_interfaces) {
    auto found = find_listen_place(now.bind_host == "0.0.0.0" ? "0.0.0.0" : "*", this_machine());
    if (found) now = std::move(*found);
  }
  for (const std::string& host : now.reachable) add(host, 0);
  return places;
}

// Behind several interfaces, a worker is told of the one by which it came.
void Pool::tell_ways(const PeerKey& peer, JoinAccept* accept) const {
  accept->places = places();
  if (!options_.listen.all_interfaces) return;
  std::string host = transport_->reached_host(peer);
  for (std::string* endpoint : {&accept->compute_endpoint, &accept->bulk_endpoint}) {
    *endpoint = with_host(*endpoint, host);
  }
}

// A pool without a beacon does all the same; its devices come by invitation.
void Pool::open_beacon() {
  if (!options_.beacon) return;
  const bool loopback = options_.listen.loopback_only;
  auto socket = UdpSocket::listen({options_.beacon_port, loopback});
  if (!socket) {
    log({LogLevel::kWarning, "pool",
         fmt::format("workers do not find this coordinator by themselves: {}",
                     socket.error().message)});
    return;
  }
  beacon_socket_ = std::move(*socket);
  BeaconAnswer answer;
  answer.coordinator = keys_.curve.public_key;
  answer.join_port = port_of(transport_->join_endpoint());
  answer.name = options_.name;
  beacon_.emplace(answer, listening_interface(options_.listen), clock_);
}

// So many at a look: a flood of questions leaves the rest of the turn alone.
void Pool::answer_beacon() {
  constexpr int kDatagramsPerLook = 16;
  for (int i = 0; beacon_ && i < kDatagramsPerLook; ++i) {
    auto datagram = beacon_socket_->receive(Duration::zero());
    if (!datagram) return;
    // An answer that is lost is asked for again.
    if (auto answer = beacon_->on_datagram(*datagram)) {
      (void)beacon_socket_->send(datagram->from, *answer);
    }
  }
}

std::vector<WaitingDevice> Pool::waiting_devices() {
  auto lock = loop_->lock();
  return core_->waiting_devices();
}

Result<WaitingDevice> Pool::admit(const std::string& code) {
  auto lock = loop_->lock();
  auto admitted = core_->admit_waiting(code);
  loop_->send();
  return admitted;
}

Result<WaitingDevice> Pool::refuse(const std::string& code) {
  auto lock = loop_->lock();
  auto refused = core_->refuse_waiting(code);
  loop_->send();
  return refused;
}

PoolView Pool::view() {
  auto lock = loop_->lock();
  return view_pool(*core_);
}

std::optional<UnitMap> Pool::map(uint64_t* fingerprint, bool anyway) {
  auto lock = loop_->lock();
  const uint64_t now = map_fingerprint(cluster());
  if (now == *fingerprint && !anyway) return std::nullopt;
  *fingerprint = now;
  return map_units(cluster(), learned().use, options_.slices);
}

std::vector<PoolDevice> Pool::devices() {
  auto lock = loop_->lock();
  std::vector<PoolDevice> devices = list_devices(allow_list_);
  for (PoolDevice& device : devices) {
    const WorkerRecord* worker = cluster().worker(device.key);
    device.member = worker != nullptr;
    if (worker != nullptr) device.worker_name = worker->name;
  }
  return devices;
}

Result<PoolDevice> Pool::rename_device(const std::string& device, const std::string& name) {
  auto lock = loop_->lock();
  return potluck::rename_device(allow_list_, device, name);
}

// First told, then struck off: nothing is sent to a key that is not on the list.
Result<PoolDevice> Pool::revoke_device(const std::string& device) {
  auto lock = loop_->lock();
  auto found = find_device(allow_list_, device);
  if (!found) return found.error();
  core_->revoke(found->key);
  loop_->send();
  if (Status removed = allow_list_.remove(found->key); !removed) return removed.error();
  return std::move(*found);
}

// The join channel is open while an invitation is, or devices may ask to be admitted. Connections
// that were turned away are reported now and then: each could be a line of the log otherwise, at a
// stranger's will.
void Pool::look_after_strangers() {
  const TimePoint now = clock_.now();
  if (now < strangers_seen_at_ + kStrangerLook) return;  // there are several turns to a layer
  strangers_seen_at_ = now;
  transport_->open_join(options_.beacon || invitations_.open_count(clock_.unix_seconds()) > 0);
  answer_beacon();
  log_counts();
  uint64_t now_away = transport_->turned_away() + transport_->refused_handshakes();
  if (now_away == strangers_told_ || now - strangers_told_at_ < kStrangerInterval) return;
  std::string last = transport_->last_refusal();
  uint64_t count = now_away - strangers_told_;
  log({LogLevel::kWarning,
       "pool",
       fmt::format("turned {} connection{} of strangers away{}{}", count, count == 1 ? "" : "s",
                   last.empty() ? "" : "; the last: ", last),
       {{"connections", count}}});
  strangers_told_ = now_away;
  strangers_told_at_ = now;
}

// For developers: what has changed since the last look.
void Pool::log_counts() {
  if (options_.log == nullptr || !options_.log->wants(LogLevel::kDebug)) return;
  const DispatchStatistics now = core_->dispatcher().statistics();
  if (now.retries != logged_.retries || now.late_replies != logged_.late_replies ||
      now.bad_replies != logged_.bad_replies) {
    log({LogLevel::kDebug,
         "dispatch",
         "work was given to others",
         {{"retries", now.retries},
          {"late_replies", now.late_replies},
          {"bad_replies", now.bad_replies}}});
  }
  logged_ = now;
  const ClusterState& state = cluster();
  const PoolCounts counts{state.workers().size(), state.units_assigned(), state.units_ready(),
                          core_->bytes_delivered()};
  if (counts == logged_counts_) return;
  logged_counts_ = counts;
  log({LogLevel::kDebug,
       "pool",
       fmt::format("{} workers, {} of {} units ready, {} delivered", counts.workers,
                   counts.units_ready, counts.units_assigned, format_bytes(counts.bytes_delivered)),
       {{"workers", counts.workers},
        {"units_assigned", counts.units_assigned},
        {"units_ready", counts.units_ready},
        {"bytes_delivered", counts.bytes_delivered}}});
}

void Pool::keep_answers(bool keep) {
  auto lock = loop_->lock();
  core_->dispatcher().keep_answers(keep);
}

void Pool::take_answers(std::vector<WorkerAnswer>* answers) {
  auto lock = loop_->lock();
  *answers = core_->dispatcher().take_answers();
}

std::string Pool::describe(const PeerKey& worker) {
  auto lock = loop_->lock();
  return cluster().describe(worker);
}

DispatchStatistics Pool::statistics() {
  auto lock = loop_->lock();
  return core_->dispatcher().statistics();
}

uint64_t Pool::compute_bytes() {
  auto lock = loop_->lock();
  return transport_->compute_bytes();
}

uint64_t Pool::bytes_delivered() {
  auto lock = loop_->lock();
  return core_->bytes_delivered();
}

uint32_t Pool::workers_lost() {
  auto lock = loop_->lock();
  return cluster().workers_lost();
}

size_t Pool::release_quarantined() {
  auto lock = loop_->lock();
  return core_->release_quarantined();
}

size_t Pool::open_invitations() {
  auto lock = loop_->lock();
  return invitations_.open_count(clock_.unix_seconds());
}

bool Pool::ready(uint32_t workers) {
  auto lock = loop_->lock();
  const ClusterState& state = cluster();
  return state.workers().size() >= workers && state.units_ready() == state.units_assigned();
}

Status Pool::wait_until_ready(uint32_t workers, const Progress& progress) {
  TimePoint last_change = clock_.now();
  uint64_t last_mark = 0;
  while (!ready(workers)) {
    // One that has ended will not become ready.
    if (local_->running() < local_->started()) {
      return Error{ErrorCode::kIo, "a worker process ended before it was ready"};
    }
    auto lock = loop_->lock();
    // Taken here, although the keeper takes turns, too: its looks may be 20 ms apart.
    loop_->turn(kWaitStep);
    const ClusterState& state = cluster();
    uint64_t ready = state.units_ready();
    uint64_t assigned = state.units_assigned();
    // Patience is for standstill, not for the whole: a large model on a slow link may take hours.
    uint64_t mark = state.workers().size() + ready + core_->bytes_delivered();
    lock.unlock();
    if (mark != last_mark) last_change = clock_.now();
    last_mark = mark;
    if (clock_.now() - last_change > kPatience) return describe_stall(workers);
    if (progress) progress(ready, assigned);
  }
  return {};
}

Status Pool::describe_stall(uint32_t workers) {
  auto lock = loop_->lock();
  const ClusterState& state = cluster();
  return Error{
      ErrorCode::kTimeout,
      fmt::format("waiting for workers: {} of {} joined, {} of {} units ready, and "
                  "nothing moved for {} s",
                  state.workers().size(), workers, state.units_ready(), state.units_assigned(),
                  std::chrono::duration_cast<std::chrono::seconds>(kPatience).count())};
}

}  // namespace potluck
