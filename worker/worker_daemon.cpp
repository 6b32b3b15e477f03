#include "worker/worker_daemon.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "engine/base/code_pages.h"
#include "engine/base/descriptor_limit.h"
#include "engine/base/disk_probe.h"
#include "engine/base/format_bytes.h"
#include "engine/base/inline_reader.h"
#include "engine/base/limits.h"
#include "engine/base/out_of_resources.h"
#include "protocol/listen_address.h"
#include "protocol/local_address.h"
#include "protocol/zmq_transport.h"
#include "worker/address_watch.h"
#include "worker/device_meter.h"
#include "worker/known_pools.h"
#include "worker/worker_loop.h"

namespace potluck {
namespace {

constexpr const char* kComponent = "worker";

void log_status(LogSink* log, const MembershipStatus& status) {
  if (log == nullptr || !log->wants(LogLevel::kDebug)) return;
  log->write({LogLevel::kDebug,
              kComponent,
              status.phase,
              {{"coordinator", status.coordinator.brief()},
               {"units_assigned", int64_t{status.units_assigned}},
               {"units_ready", int64_t{status.units_ready}},
               {"bytes_fetched", static_cast<int64_t>(status.bytes_fetched)}}});
}

using std::chrono::milliseconds;

constexpr Duration kTurn = milliseconds(100);  // how soon `stop` is noticed
constexpr Duration kStatusInterval = milliseconds(250);
constexpr Duration kNetworkInterval = std::chrono::seconds(2);
constexpr Duration kFarewellTime = std::chrono::seconds(1);  // for goodbyes on a simulated link

// What the loop needs, put together; and what it does not know: addresses to remember, the account
// for people.
class WorkerDaemon final : private WorkerLinks {
 public:
  WorkerDaemon(const WorkerDaemonOptions& options, const ReaderSettings& reader, Storage& storage,
               const Clock& clock, const SystemFiles& system, const WorkerObserver& observer,
               const DeviceKeys& keys, const KernelTable& kernels,
               std::unique_ptr<GrainStore> store, std::unique_ptr<ModelCopy> model);

  Status add_pools(Entropy& entropy);
  Status run(const std::atomic<bool>& stop);

 private:
  void turn();
  void hand_over();
  Result<std::vector<PoolAddress>> wanted_pools(Entropy& entropy);
  Result<PoolAddress> invited_pool() const;
  PoolAddress found_pool(Entropy& entropy) const;
  Status start_serving();
  std::string endpoint_for(const PoolAddress& pool) const;
  void watch_addresses();
  Status connect(const PeerKey& peer, Channel channel, const std::string& endpoint) override;
  void disconnect(const PeerKey& peer) override;
  void disconnect(const PeerKey& peer, Channel channel) override;
  LinkState state(const PeerKey& peer, Channel channel) override;
  void remember(const PoolAddress& pool) override;
  void admit(const std::set<PeerKey>& peers) override;
  void look_at_network();
  void report_status();
  WorkerReport make_report(const std::vector<MembershipStatus>& pools) const;
  void watch_health();
  void note_memory(uint64_t before, uint64_t now) const;
  void observe(const Notice& what);
  void warn(std::string text, std::vector<LogField> fields) const;

  const WorkerDaemonOptions& options_;
  const Clock& clock_;
  const WorkerObserver& observer_;
  std::unique_ptr<GrainStore> store_;
  std::unique_ptr<ModelCopy> model_;  // or null
  ManifestStore manifests_;
  KnownPools known_pools_;
  ThreadPool threads_;
  PeerKey own_key_;
  AllowList admitted_;  // workers that may fetch from this one
  ZmqClientTransport transport_;
  std::optional<SimulatedLink> simulated_link_;
  OwnDeviceMeter meter_;
  WorkerCore core_;
  WorkerLoop loop_;
  HealthWatch health_;
  HealthReport told_health_;  // as the pools were told last
  std::string serve_host_;    // empty: this worker serves no peers
  std::string serve_endpoint_;
  std::map<PeerKey, PoolAddress> addresses_;
  AddressWatch address_watch_;
  std::optional<Notice> last_end_;
  TimePoint status_at_{0};
  std::vector<std::string> own_addresses_;
  TimePoint network_seen_at_{0};
  std::map<PeerKey, MembershipStatus> reported_;
};

// The settings with the depth and the read size that the disk wants, measured on what the store
// holds, if that is enough. Fails when such readers cannot be had.
Result<ReaderSettings> fit_reader(ReaderSettings settings, GrainStore& store, const Clock& clock) {
  settings = fit_reader_settings(settings, store.sample_file(), clock);
  auto reader = open_fitted_reader(settings, clock);
  if (!reader) return reader.error().in("--reader");
  settings.depth = (*reader)->depth();
  return settings;
}

// Readers like this one could be had before; should the system refuse now, threads do.
std::unique_ptr<BlockReader> open_reader(ReaderSettings settings, const Clock& clock) {
  auto reader = open_fitted_reader(settings, clock);
  if (reader) return std::move(*reader);
  settings.choice = ReaderChoice::kThreads;
  reader = open_fitted_reader(settings, clock);
  if (reader) return std::move(*reader);
  return std::make_unique<InlineBlockReader>(clock);  // slow, but no thread can be had
}

// Where a pool is reached the first time.
const std::string& endpoint_of(const PoolAddress& pool) {
  if (pool.pairing) return pool.pairing->endpoints.front();
  return pool.invitation ? pool.invitation->endpoints.front() : pool.compute_endpoint;
}

// What a disk reads in a tenth of a second or more. Not the whole cache: a worker may hold far less
// than it has room for.
constexpr uint64_t kPrefaultBytes = 256 * kMiB;

WorkerOptions core_options(const WorkerDaemonOptions& options, const ReaderSettings& reader,
                           const KernelTable& kernels, const Clock& clock, const ModelCopy* model,
                           DeviceMeter* meter) {
  WorkerOptions core;
  core.name = options.name;
  core.software = options.version.empty() ? "potluck" : "potluck " + options.version;
  core.software += fmt::format(", {}", kernels.name);
  core.ram_bytes = options.ram_bytes;
  core.disk_bytes = options.disk_bytes;
  core.serve_rate = options.serve_rate;
  core.model = model;
  core.meter = meter;
  if (options.simulated_compute > 1) core.processor.emplace(options.simulated_compute);
  core.prefault_bytes = kPrefaultBytes;
  core.read_bytes = reader.read_bytes;
  core.open_reader = [settings = reader, &clock] { return open_reader(settings, clock); };
  return core;
}

std::optional<SimulatedLink> make_simulated_link(const WorkerDaemonOptions& options,
                                                 const Clock& clock,
                                                 ZmqClientTransport* transport) {
  if (!options.simulated_link) return std::nullopt;
  auto connected = [transport](const PeerKey& peer, Channel channel) {
    // Those who fetch from here have come by themselves; sending tells whether they are gone.
    return channel == Channel::kServe ||
           transport->link_state(peer, channel) == LinkState::kConnected;
  };
  return std::optional<SimulatedLink>(std::in_place, *transport, *options.simulated_link, connected,
                                      clock);
}

WorkerDaemon::WorkerDaemon(const WorkerDaemonOptions& options, const ReaderSettings& reader,
                           Storage& storage, const Clock& clock, const SystemFiles& system,
                           const WorkerObserver& observer, const DeviceKeys& keys,
                           const KernelTable& kernels, std::unique_ptr<GrainStore> store,
                           std::unique_ptr<ModelCopy> model)
    : options_(options),
      clock_(clock),
      observer_(observer),
      store_(std::move(store)),
      model_(std::move(model)),
      manifests_(storage, options.store_directory),
      known_pools_(storage, options.store_directory),
      threads_(options.threads),
      own_key_(keys.curve.public_key),
      transport_(keys.curve),
      simulated_link_(make_simulated_link(options, clock, &transport_)),
      meter_(*store_, reader, kernels, threads_, clock, options.simulated_compute),
      core_(core_options(options, reader, kernels, clock, model_.get(), &meter_), *store_, kernels,
            threads_, clock, &manifests_),
      loop_(core_, simulated_link_ ? static_cast<Transport&>(*simulated_link_) : transport_, *this,
            clock, [this](const Notice& what) { observe(what); }),
      health_(options.health, system, clock, options.ram_bytes),
      // No name server is asked: that may take its time, and the network waits.
      address_watch_([](const std::string& endpoint) {
        return local_address_towards(endpoint, HostNames::kNumericOnly);
      }) {}

Status WorkerDaemon::add_pools(Entropy& entropy) {
  Result<std::vector<PoolAddress>> pools = wanted_pools(entropy);
  if (!pools) return pools.error();
  for (const PoolAddress& pool : *pools) addresses_[pool.coordinator] = pool;
  if (Status serving = start_serving(); !serving) return serving;
  for (auto& [coordinator, pool] : addresses_) {
    pool.serve_endpoint = endpoint_for(pool);
    core_.add_pool(pool);
  }
  return {};
}

Result<std::vector<PoolAddress>> WorkerDaemon::wanted_pools(Entropy& entropy) {
  if (options_.pair_with) return std::vector{found_pool(entropy)};
  if (!options_.token.empty()) {
    Result<PoolAddress> invited = invited_pool();
    if (!invited) return invited.error();
    return std::vector{std::move(*invited)};
  }
  std::vector<std::string> problems;
  std::vector<PoolAddress> pools = known_pools_.load_all(&problems);
  for (const std::string& problem : problems) warn(problem, {{"store", options_.store_directory}});
  if (!pools.empty()) return pools;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("no invitation was given, and {} knows no pool: ask the coordinator's "
                           "owner for a token",
                           options_.store_directory)};
}

Result<PoolAddress> WorkerDaemon::invited_pool() const {
  Result<Invitation> invitation = parse_invitation(options_.token);
  if (!invitation) return invitation.error();
  PoolAddress address;
  Result<PoolAddress> known = known_pools_.load(invitation->coordinator);
  // The endpoints of an earlier membership help where the invitation was used already. Another
  // signing key would be another pool.
  const bool says_key = invitation->signing_key != SigningPublicKey{};
  if (known && (!says_key || known->signing_key == invitation->signing_key)) {
    address = std::move(*known);
  }
  address.coordinator = invitation->coordinator;
  if (says_key) address.signing_key = invitation->signing_key;
  address.invitation = std::move(*invitation);
  return address;
}

// What is known from before is no help: only a coordinator that has forgotten this device is paired
// with again.
PoolAddress WorkerDaemon::found_pool(Entropy& entropy) const {
  PoolAddress address;
  address.coordinator = options_.pair_with->coordinator;
  PairingOffer& offer = address.pairing.emplace();
  offer.own_key = own_key_;
  offer.endpoints = options_.pair_with->endpoints;
  entropy.fill(std::as_writable_bytes(std::span(offer.nonce)));
  return address;
}

// On the address that was asked for, else on that by which the first pool's coordinator is reached:
// its other workers are likely to be there, too. Not being able to is no failure then: the others
// fetch from the coordinator.
Status WorkerDaemon::start_serving() {
  if (options_.listen == "off") return {};
  uint16_t port = 0;
  std::string advertised;
  if (!options_.listen.empty()) {
    auto parsed = parse_listen_address(options_.listen);
    if (!parsed) return parsed.error().in("--listen (or off)");
    auto place = find_listen_place(parsed->host, this_machine());
    if (!place) return place.error().in("--listen");
    serve_host_ = place->bind_host;
    advertised = place->reachable.front();
    port = parsed->port;
  } else {
    Result<std::string> host = local_address_towards(endpoint_of(addresses_.begin()->second));
    if (host) serve_host_ = *host;
  }
  if (serve_host_.empty()) return {};
  Result<std::string> endpoint = transport_.serve(serve_host_, port, admitted_, advertised);
  if (endpoint) {
    serve_endpoint_ = *endpoint;
    return {};
  }
  serve_host_.clear();
  if (!options_.listen.empty()) return endpoint.error().in("--listen");
  warn("other workers cannot fetch from this one: " + endpoint.error().message,
       {{"reason", endpoint.error().message}});
  return {};
}

// What a pool is told: nothing if its coordinator is reached by another address.
std::string WorkerDaemon::endpoint_for(const PoolAddress& pool) const {
  if (serve_endpoint_.empty() || !options_.listen.empty()) return serve_endpoint_;
  Result<std::string> host = local_address_towards(endpoint_of(pool));
  return host && *host == serve_host_ ? serve_endpoint_ : std::string();
}

Status WorkerDaemon::run(const std::atomic<bool>& stop) {
  auto asked_to_stop = [&] {
    return stop.load(std::memory_order_relaxed) ||
           (options_.leave != nullptr && options_.leave->load(std::memory_order_relaxed));
  };
  while (!asked_to_stop()) {
    // Nothing is left to work for. How the last pool ended decides between success and an error.
    if (core_.pools() == 0) {
      if (!last_end_ || last_end_->orderly) return {};
      return Error{ErrorCode::kRefused, last_end_->text};
    }
    turn();
  }
  hand_over();
  loop_.leave();
  return {};
}

// Where this device is reached from another address, connections begin anew from there, and other
// workers are told of it.
void WorkerDaemon::watch_addresses() {
  if (clock_.now() < address_watch_.next_look()) return;
  std::map<PeerKey, std::string> endpoints;
  for (const auto& [coordinator, pool] : addresses_) {
    endpoints[coordinator] =
        pool.compute_endpoint.empty() ? endpoint_of(pool) : pool.compute_endpoint;
  }
  std::vector<PeerKey> moved = address_watch_.look(endpoints, clock_.now());
  if (moved.empty()) return;
  if (options_.listen.empty()) {
    serve_endpoint_.clear();
    (void)start_serving();  // without an address of its own to serve at, it warns
  }
  for (auto& [coordinator, pool] : addresses_) {
    std::string endpoint = endpoint_for(pool);
    bool same = std::find(moved.begin(), moved.end(), coordinator) == moved.end();
    if (same && endpoint == pool.serve_endpoint) continue;
    pool.serve_endpoint = endpoint;
    core_.on_moved(coordinator, endpoint);
    log_to(observer_.log, {LogLevel::kInfo,
                           kComponent,
                           fmt::format("{}: this device has another address now; connecting anew",
                                       coordinator.brief()),
                           {{"coordinator", coordinator.brief()}}});
  }
}

void WorkerDaemon::turn() {
  watch_health();
  loop_.turn(kTurn);
  watch_addresses();
  look_at_network();
  report_status();
}

// Others fetch from here what they are to hold, so turns go on as before.
void WorkerDaemon::hand_over() {
  if (options_.leave_timeout <= Duration::zero()) return;
  const TimePoint deadline = clock_.now() + options_.leave_timeout;
  loop_.leave_gently();
  if (core_.pools() == 0) return;
  log_to(observer_.log,
         {LogLevel::kInfo, kComponent,
          fmt::format(
              "handing over to other devices, for {} s at most; a second Ctrl-C ends this "
              "at once",
              std::chrono::duration_cast<std::chrono::seconds>(options_.leave_timeout).count())});
  while (core_.pools() > 0 && clock_.now() < deadline) turn();
  if (core_.pools() > 0) {
    log_to(observer_.log, {LogLevel::kWarning, kComponent,
                           "others do not have everything yet; leaving all the same"});
  }
}

Status WorkerDaemon::connect(const PeerKey& peer, Channel channel, const std::string& endpoint) {
  auto pool = addresses_.find(peer);
  bool place = pool != addresses_.end() && channel == Channel::kCompute;
  if (place) pool->second.compute_endpoint = endpoint;
  return transport_.connect(peer, channel, endpoint);
}

void WorkerDaemon::disconnect(const PeerKey& peer) {
  // A Goodbye may still be on its simulated way.
  if (simulated_link_) simulated_link_->finish_sending(kFarewellTime);
  transport_.disconnect(peer);
}

void WorkerDaemon::disconnect(const PeerKey& peer, Channel channel) {
  transport_.disconnect(peer, channel);
}

LinkState WorkerDaemon::state(const PeerKey& peer, Channel channel) {
  return transport_.link_state(peer, channel);
}

void WorkerDaemon::admit(const std::set<PeerKey>& peers) {
  auto before = admitted_.entries();
  for (const auto& [key, name] : before) {
    if (!peers.contains(key)) static_cast<void>(admitted_.remove(key));
  }
  for (const PeerKey& key : peers) {
    if (Status added = admitted_.add(key, ""); !added) {
      warn(added.error().message, {{"peer", key.brief()}});
    }
  }
}

void WorkerDaemon::remember(const PoolAddress& pool) {
  if (!options_.remember) return;
  Status saved = known_pools_.save(pool);
  if (saved) return;
  warn("this pool will not be remembered: " + saved.error().message,
       {{"coordinator", pool.coordinator.brief()}, {"reason", saved.error().message}});
}

void WorkerDaemon::watch_health() {
  const WriteLedger& writes = store_->writes();
  const OwnUse own{core_.resident_bytes(), writes.total(), writes.today(), writes.most_per_day()};
  const std::optional<HealthReport> health = health_.look(own);
  if (!health) return;
  core_.set_health(*health);
  const HealthReport before = std::exchange(told_health_, *health);
  note_memory(before.use.cache_bytes, health->use.cache_bytes);
  const bool pauses = health->pause_seconds > 0 && before.pause_seconds == 0;
  if (health->share == before.share && !pauses) return;
  std::string text =
      pauses ? fmt::format("will pause in {} s: {}", health->pause_seconds, health->text)
             : fmt::format("lends {} % of its speed{}{}", health->share,
                           health->text.empty() ? "" : ": ", health->text);
  log_to(observer_.log, {LogLevel::kInfo,
                         kComponent,
                         std::move(text),
                         {{"share", int64_t{health->share}}, {"reason", health->text}}});
}

// 0: all that was offered.
void WorkerDaemon::note_memory(uint64_t before, uint64_t now) const {
  if (before == now) return;
  const uint64_t all = options_.ram_bytes;
  const bool less = now != 0 && (before == 0 || now < before);
  const std::string text =
      less ? fmt::format("memory is short: keeps {} of experts instead of {}", format_bytes(now),
                         format_bytes(before == 0 ? all : before))
           : fmt::format("memory is free again: keeps up to {} of experts",
                         format_bytes(now == 0 ? all : now));
  log_to(observer_.log, {less || now == 0 ? LogLevel::kInfo : LogLevel::kDebug,
                         kComponent,
                         text,
                         {{"cache_bytes", now == 0 ? all : now},
                          {"given_back_bytes", health_.memory().given_back()}}});
}

void WorkerDaemon::observe(const Notice& what) {
  if (what.fatal) last_end_ = what;
  LogEvent event{what.level, kComponent, fmt::format("{}: {}", what.coordinator.brief(), what.text),
                 what.fields};
  event.fields.emplace_back("coordinator", what.coordinator.brief());
  log_to(observer_.log, event);
}

void WorkerDaemon::warn(std::string text, std::vector<LogField> fields) const {
  log_to(observer_.log, {LogLevel::kWarning, kComponent, std::move(text), std::move(fields)});
}

// A laptop that is carried from one network into another, or a cable that was plugged in. What only
// exists inside this machine comes and goes with containers: no reason to doubt a connection.
void WorkerDaemon::look_at_network() {
  if (clock_.now() < network_seen_at_ + kNetworkInterval) return;
  const bool first = network_seen_at_ == TimePoint{0};
  network_seen_at_ = clock_.now();
  std::vector<std::string> addresses;
  for (const LocalAddress& address : local_addresses()) {
    if (!address.loopback && !is_inside(address)) addresses.push_back(address.address);
  }
  if (addresses == own_addresses_) return;
  own_addresses_ = std::move(addresses);
  if (!first) core_.on_network_changed();
}

WorkerReport WorkerDaemon::make_report(const std::vector<MembershipStatus>& pools) const {
  WorkerReport report;
  report.name = options_.name;
  report.software = options_.version.empty() ? "potluck" : "potluck " + options_.version;
  report.key = own_key_;
  report.memory_bytes = options_.ram_bytes;
  report.resident_bytes = core_.resident_bytes();
  report.disk_bytes = store_->quota_bytes();
  report.stored_bytes = store_->charged_bytes();
  report.bytes_served = core_.bytes_served();
  report.steady_seconds = std::chrono::duration<double>(clock_.now()).count();
  report.health = told_health_;
  report.memory_shrinks = health_.memory().shrinks();
  report.memory_given_back = health_.memory().given_back();
  report.pools = pools;
  return report;
}

void WorkerDaemon::report_status() {
  if (clock_.now() < status_at_ + kStatusInterval) return;
  status_at_ = clock_.now();
  auto progress = [](const MembershipStatus& status) {
    return std::tuple(status.phase, status.units_assigned, status.units_ready,
                      status.bytes_fetched);
  };
  const std::vector<MembershipStatus> pools = core_.status();
  if (observer_.report) observer_.report(make_report(pools));
  for (const MembershipStatus& status : pools) {
    auto [last, fresh] = reported_.try_emplace(status.coordinator, status);
    if (!fresh && progress(last->second) == progress(status)) continue;
    last->second = status;
    log_status(observer_.log, status);
    if (observer_.status) observer_.status(status);
  }
}

Status work(const WorkerDaemonOptions& options, Storage& storage, const Clock& clock,
            Entropy& entropy, const SystemFiles& system, const WorkerObserver& observer,
            const std::atomic<bool>& stop) {
  if (options.threads < 1 || options.threads > static_cast<int>(limits::kThreads)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--threads {}: expected 1 to {}", options.threads, limits::kThreads)};
  }
  // The store, libzmq, a coordinator and some peers; more connections take more.
  constexpr uint64_t kDescriptors = 128;
  if (Status enough = require_descriptors(kDescriptors, "a worker"); !enough) return enough;
  Result<const KernelTable*> kernels = select_kernels(options.isa);
  if (!kernels) return kernels.error();
  // Fewer threads compute the same, only slower.
  Status threads = check_threads("--threads", options.threads - 1);
  if (!threads) log_to(observer.log, {LogLevel::kWarning, kComponent, threads.error().message});
  Status made = storage.make_directories(options.store_directory);
  if (!made) return made;
  // The store's lock comes first: two processes must not make keys for one directory.
  auto store = GrainStore::open(storage, options.store_directory, options.disk_bytes,
                                {&clock, options.max_writes_per_day});
  if (!store) return store.error();
  if (observer.opened) observer.opened();
  Result<DeviceKeys> keys = load_or_create_keys(storage, options.store_directory, entropy);
  if (!keys) return keys.error();
  for (const LogEvent& event : (*store)->take_notices()) log_to(observer.log, event);
  Result<ReaderSettings> reader = fit_reader(options.reader, **store, clock);
  if (!reader) return reader.error();
  std::unique_ptr<ModelCopy> model;
  if (!options.model_path.empty()) {
    Result<std::unique_ptr<ModelCopy>> opened = ModelCopy::open(storage, options.model_path);
    if (!opened) return opened.error();
    model = std::move(*opened);
  }
  WorkerDaemon daemon(options, *reader, storage, clock, system, observer, *keys, **kernels,
                      std::move(*store), std::move(model));
  if (Status added = daemon.add_pools(entropy); !added) return added;
  give_back_code_pages(system);
  return daemon.run(stop);
}

}  // namespace

Status run_worker(const WorkerDaemonOptions& options, Storage& storage, const Clock& clock,
                  Entropy& entropy, const SystemFiles& system, const WorkerObserver& observer,
                  const std::atomic<bool>& stop) {
  return guard_memory(
      "the worker", [&] { return work(options, storage, clock, entropy, system, observer, stop); });
}

}  // namespace potluck
