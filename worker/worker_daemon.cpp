#include "worker/worker_daemon.h"

#include <algorithm>
#include <charconv>
#include <tuple>

#include <fmt/format.h>

#include "engine/base/disk_probe.h"
#include "engine/base/limits.h"
#include "protocol/local_address.h"
#include "protocol/zmq_transport.h"
#include "worker/known_pools.h"
#include "worker/simulated_processor.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;

constexpr Duration kLongestWait = milliseconds(100);  // how soon `stop` is noticed
// A connection that is being made tells nobody when it is done: looked at so often, for so long.
constexpr Duration kConnectingWait = milliseconds(5);
constexpr Duration kConnectingTime = std::chrono::seconds(3);
constexpr Duration kStatusInterval = milliseconds(250);
// A peer that sends nonsense is reported, not quoted without end.
constexpr uint32_t kNonsenseNotices = 5;
constexpr Duration kFarewellTime = std::chrono::seconds(1);  // for goodbyes on a simulated link

class WorkerDaemon {
 public:
  WorkerDaemon(const WorkerDaemonOptions& options, const ReaderSettings& reader, Storage& storage,
               const Clock& clock, const WorkerObserver& observer, const DeviceKeys& keys,
               const KernelTable& kernels, std::unique_ptr<GrainStore> store,
               std::unique_ptr<ModelCopy> model);

  Status add_pools();
  Status start_serving();
  Status run(const std::atomic<bool>& stop);

 private:
  void perform_actions();
  void perform(SendMessage& message);
  void transmit(SendMessage& message);
  void transmit_due_answers();
  void perform(const ConnectChannel& connection);
  void perform(const DisconnectPeer& peer);
  void perform(const ConnectPeer& peer);
  void perform(const AdmitPeers& peers);
  void perform(const Notice& notice);
  void deliver(Envelope envelope);
  void remember(const PeerKey& coordinator);
  void watch_links();
  void report_status();
  void watch(const PeerKey& peer, Channel channel);
  std::string endpoint_for(const PoolAddress& pool) const;
  void notice(const std::string& text) const;
  Duration time_to_wait() const;

  const WorkerDaemonOptions& options_;
  const Clock& clock_;
  const WorkerObserver& observer_;
  std::unique_ptr<GrainStore> store_;
  std::unique_ptr<ModelCopy> model_;  // or null
  ManifestStore manifests_;
  KnownPools known_pools_;
  ThreadPool threads_;
  AllowList admitted_;  // workers that may fetch from this one
  ZmqClientTransport transport_;
  std::optional<SimulatedLink> simulated_link_;
  Transport& messages_;  // simulated_link_ if there is one, else transport_
  std::optional<SimulatedProcessor> simulated_processor_;
  WorkerCore core_;
  std::string serve_host_;  // empty: this worker serves nobody
  std::string serve_endpoint_;
  std::map<PeerKey, PoolAddress> addresses_;
  std::map<std::pair<PeerKey, Channel>, LinkState> links_;
  TimePoint connecting_since_{0};
  bool connecting_ = false;
  std::optional<Notice> last_end_;
  uint32_t nonsense_ = 0;
  TimePoint status_at_{0};
  std::map<PeerKey, MembershipStatus> reported_;
};

// The settings with the depth that the disk wants, measured on what the store holds, if that is
// enough. Fails when such readers cannot be had.
Result<ReaderSettings> fit_reader(ReaderSettings settings, GrainStore& store, const Clock& clock) {
  auto reader = open_fitted_reader(settings, store.sample_file(), StoredSource::kReadBytes, clock);
  if (!reader) return reader.error().in("--reader");
  settings.depth = (*reader)->depth();
  return settings;
}

// Readers like this one could be had before; should the system refuse now, threads do.
std::unique_ptr<BlockReader> open_reader(ReaderSettings settings, const Clock& clock) {
  auto reader = open_fitted_reader(settings, nullptr, 0, clock);
  if (reader) return std::move(*reader);
  settings.choice = ReaderChoice::kThreads;
  return std::move(*open_fitted_reader(settings, nullptr, 0, clock));
}

// Where a pool is reached the first time.
const std::string& endpoint_of(const PoolAddress& pool) {
  return pool.invitation ? pool.invitation->join_endpoint : pool.compute_endpoint;
}

// "HOST:PORT".
Result<std::pair<std::string, uint16_t>> parse_listen(const std::string& text) {
  size_t colon = text.rfind(':');
  uint16_t port = 0;
  bool good = colon != std::string::npos && colon > 0;
  if (good) {
    const char* end = text.data() + text.size();
    auto [rest, failure] = std::from_chars(text.data() + colon + 1, end, port);
    good = failure == std::errc() && rest == end;
  }
  if (good) return std::pair(text.substr(0, colon), port);
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("--listen: expected HOST:PORT or off, found '{}'", text)};
}

WorkerOptions core_options(const WorkerDaemonOptions& options, const ReaderSettings& reader,
                           const KernelTable& kernels, const Clock& clock, const ModelCopy* model) {
  WorkerOptions core;
  core.name = options.name;
  core.software = options.version.empty() ? "potluck" : "potluck " + options.version;
  core.software += fmt::format(", {}", kernels.name);
  core.ram_bytes = options.ram_bytes;
  core.disk_bytes = options.disk_bytes;
  core.serve_rate = options.serve_rate;
  core.model = model;
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
                           Storage& storage, const Clock& clock, const WorkerObserver& observer,
                           const DeviceKeys& keys, const KernelTable& kernels,
                           std::unique_ptr<GrainStore> store, std::unique_ptr<ModelCopy> model)
    : options_(options),
      clock_(clock),
      observer_(observer),
      store_(std::move(store)),
      model_(std::move(model)),
      manifests_(storage, options.store_directory),
      known_pools_(storage, options.store_directory),
      threads_(options.threads),
      transport_(keys.curve),
      simulated_link_(make_simulated_link(options, clock, &transport_)),
      messages_(simulated_link_ ? static_cast<Transport&>(*simulated_link_) : transport_),
      core_(core_options(options, reader, kernels, clock, model_.get()), *store_, kernels, threads_,
            clock, &manifests_) {
  if (options.simulated_compute > 1) simulated_processor_.emplace(options.simulated_compute);
}

Status WorkerDaemon::add_pools() {
  std::vector<PoolAddress> pools;
  std::vector<std::string> problems;
  if (options_.token.empty()) {
    pools = known_pools_.load_all(&problems);
  } else {
    Result<Invitation> invitation = parse_invitation(options_.token);
    if (!invitation) return invitation.error();
    PoolAddress address;
    Result<PoolAddress> known = known_pools_.load(invitation->coordinator);
    if (known && known->signing_key == invitation->signing_key) address = std::move(*known);
    address.coordinator = invitation->coordinator;
    address.signing_key = invitation->signing_key;
    address.invitation = std::move(*invitation);
    pools.push_back(std::move(address));
  }
  for (const std::string& problem : problems) notice(problem);
  if (pools.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("no invitation was given, and {} knows no pool: ask the coordinator's "
                             "owner for a token",
                             options_.store_directory)};
  }
  for (const PoolAddress& pool : pools) addresses_[pool.coordinator] = pool;
  if (Status serving = start_serving(); !serving) return serving;
  for (auto& [coordinator, pool] : addresses_) {
    pool.serve_endpoint = endpoint_for(pool);
    core_.add_pool(pool);
  }
  return {};
}

// On the address that was asked for, else on that by which the first pool's coordinator is reached:
// its other workers are likely to be there, too. Not being able to is no failure then: the others
// fetch from the coordinator.
Status WorkerDaemon::start_serving() {
  if (options_.listen == "off") return {};
  uint16_t port = 0;
  if (!options_.listen.empty()) {
    auto parsed = parse_listen(options_.listen);
    if (!parsed) return parsed.error();
    std::tie(serve_host_, port) = *parsed;
  } else {
    Result<std::string> host = local_address_towards(endpoint_of(addresses_.begin()->second));
    if (host) serve_host_ = *host;
  }
  if (serve_host_.empty()) return {};
  Result<std::string> endpoint = transport_.serve(serve_host_, port, admitted_);
  if (endpoint) {
    serve_endpoint_ = *endpoint;
    return {};
  }
  serve_host_.clear();
  if (!options_.listen.empty()) return endpoint.error().in("--listen");
  notice("other workers cannot fetch from this one: " + endpoint.error().message);
  return {};
}

// What a pool is told: nothing if its coordinator is reached by another address.
std::string WorkerDaemon::endpoint_for(const PoolAddress& pool) const {
  if (serve_endpoint_.empty() || !options_.listen.empty()) return serve_endpoint_;
  Result<std::string> host = local_address_towards(endpoint_of(pool));
  return host && *host == serve_host_ ? serve_endpoint_ : std::string();
}

Status WorkerDaemon::run(const std::atomic<bool>& stop) {
  perform_actions();
  while (!stop.load(std::memory_order_relaxed)) {
    if (core_.pools() == 0) {
      if (!last_end_ || last_end_->orderly) return {};
      return Error{ErrorCode::kRefused, last_end_->text};
    }
    std::optional<Envelope> envelope = messages_.receive(time_to_wait());
    // While messages come there is no news of connections worth a system call each.
    if (!envelope || connecting_) watch_links();
    if (envelope) deliver(std::move(*envelope));
    if (time_to_wait() == Duration::zero()) core_.on_tick();
    perform_actions();
    transmit_due_answers();
    report_status();
  }
  core_.leave_all();
  perform_actions();
  return {};
}

Duration WorkerDaemon::time_to_wait() const {
  TimePoint next = core_.next_tick();  // which may be the time when it was asked
  if (simulated_processor_) next = std::min(next, simulated_processor_->next_due());
  bool fresh = connecting_ && clock_.now() - connecting_since_ < kConnectingTime;
  return std::clamp(next - clock_.now(), Duration::zero(), fresh ? kConnectingWait : kLongestWait);
}

// Tells the core about connections that were made or refused since the last look.
void WorkerDaemon::watch_links() {
  bool connecting = false;
  for (auto& [link, known] : links_) {
    const auto& [coordinator, channel] = link;
    LinkState state = transport_.link_state(coordinator, channel);
    connecting = connecting || state == LinkState::kConnecting;
    if (state == known) continue;
    known = state;
    if (state == LinkState::kConnected) core_.on_connected(coordinator, channel);
    if (state == LinkState::kRefused) core_.on_refused(coordinator, channel);
    bool lost_worker = state == LinkState::kConnecting && !addresses_.contains(coordinator);
    if (lost_worker) core_.on_unreachable(coordinator);
  }
  if (connecting && !connecting_) connecting_since_ = clock_.now();
  connecting_ = connecting;
}

void WorkerDaemon::deliver(Envelope envelope) {
  Result<Message> message = decode_header(envelope.frames.header);
  if (message) {
    core_.on_message(envelope.peer, envelope.channel, std::move(*message),
                     std::move(envelope.frames.tensor));
  } else if (++nonsense_ <= kNonsenseNotices) {
    notice(
        fmt::format("{}: dropped a message: {}", envelope.peer.brief(), message.error().message));
  }
}

// Performing an action may lead to further ones: a message that cannot be sent.
void WorkerDaemon::perform_actions() {
  for (auto actions = core_.take_actions(); !actions.empty(); actions = core_.take_actions()) {
    for (WorkerAction& action : actions) {
      std::visit([this](auto& what) { perform(what); }, action);
    }
  }
}

void WorkerDaemon::perform(SendMessage& message) {
  if (simulated_processor_ && std::holds_alternative<Partial>(message.message)) {
    simulated_processor_->hold(std::move(message), clock_.now());
  } else {
    transmit(message);
  }
}

// What does not get through to a coordinator on the other channels is asked for again; another
// worker is not asked as long as it cannot be reached.
void WorkerDaemon::transmit(SendMessage& message) {
  Frames frames{encode_header(message.message), std::move(message.tensor)};
  Status sent = messages_.send(message.peer, message.channel, std::move(frames));
  bool to_worker = message.channel == Channel::kBulk && !addresses_.contains(message.peer);
  bool matters = message.channel == Channel::kCompute || to_worker;
  if (!sent && matters) core_.on_unreachable(message.peer);
  if (!sent && message.channel == Channel::kServe) {
    core_.on_not_served(sent.error().code != ErrorCode::kLimit);
  }
}

void WorkerDaemon::transmit_due_answers() {
  if (!simulated_processor_) return;
  while (auto answer = simulated_processor_->next(clock_.now())) transmit(*answer);
  perform_actions();
}

void WorkerDaemon::perform(const ConnectChannel& connection) {
  const PeerKey& key = connection.coordinator;
  if (connection.channel != Channel::kJoin) {
    transport_.disconnect(key, Channel::kJoin);
    links_.erase({key, Channel::kJoin});
  }
  Status connected = transport_.connect(key, connection.channel, connection.endpoint);
  if (!connected) notice(connected.error().message);
  watch(key, connection.channel);
  PoolAddress& address = addresses_[key];
  if (connection.channel == Channel::kCompute) address.compute_endpoint = connection.endpoint;
  if (connection.channel == Channel::kBulk) {
    address.bulk_endpoint = connection.endpoint;
    remember(key);
  }
}

void WorkerDaemon::remember(const PeerKey& coordinator) {
  if (!options_.remember) return;
  Status saved = known_pools_.save(addresses_[coordinator]);
  if (!saved) notice("this pool will not be remembered: " + saved.error().message);
}

void WorkerDaemon::watch(const PeerKey& peer, Channel channel) {
  links_[{peer, channel}] = LinkState::kConnecting;
  connecting_ = true;
  connecting_since_ = clock_.now();
}

void WorkerDaemon::perform(const DisconnectPeer& gone) {
  if (simulated_link_) simulated_link_->finish_sending(kFarewellTime);
  transport_.disconnect(gone.peer);
  std::erase_if(links_, [&](const auto& link) { return link.first.first == gone.peer; });
}

void WorkerDaemon::perform(const ConnectPeer& connection) {
  Status connected = transport_.connect(connection.peer, Channel::kBulk, connection.endpoint);
  if (!connected) {
    core_.on_unreachable(connection.peer);
    return;
  }
  watch(connection.peer, Channel::kBulk);
}

void WorkerDaemon::perform(const AdmitPeers& admitted) {
  auto before = admitted_.entries();
  for (const auto& [key, name] : before) {
    if (!admitted.peers.contains(key)) static_cast<void>(admitted_.remove(key));
  }
  for (const PeerKey& key : admitted.peers) {
    if (Status added = admitted_.add(key, ""); !added) notice(added.error().message);
  }
}

void WorkerDaemon::perform(const Notice& what) {
  if (what.fatal) last_end_ = what;
  notice(fmt::format("{}: {}", what.coordinator.brief(), what.text));
}

void WorkerDaemon::notice(const std::string& text) const {
  if (observer_.notice) observer_.notice(text);
}

void WorkerDaemon::report_status() {
  if (!observer_.status || clock_.now() < status_at_ + kStatusInterval) return;
  status_at_ = clock_.now();
  auto progress = [](const MembershipStatus& status) {
    return std::tuple(status.phase, status.units_assigned, status.units_ready,
                      status.bytes_fetched);
  };
  for (const MembershipStatus& status : core_.status()) {
    auto [last, fresh] = reported_.try_emplace(status.coordinator, status);
    if (!fresh && progress(last->second) == progress(status)) continue;
    last->second = status;
    observer_.status(status);
  }
}

}  // namespace

Status run_worker(const WorkerDaemonOptions& options, Storage& storage, const Clock& clock,
                  Entropy& entropy, const WorkerObserver& observer, const std::atomic<bool>& stop) {
  if (options.threads < 1 || options.threads > static_cast<int>(limits::kThreads)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--threads {}: expected 1 to {}", options.threads, limits::kThreads)};
  }
  Result<const KernelTable*> kernels = select_kernels(options.isa);
  if (!kernels) return kernels.error();
  Status made = storage.make_directories(options.store_directory);
  if (!made) return made;
  // The store's lock comes first: two processes must not make keys for one directory.
  auto store = GrainStore::open(storage, options.store_directory, options.disk_bytes);
  if (!store) return store.error();
  Result<DeviceKeys> keys = load_or_create_keys(storage, options.store_directory, entropy);
  if (!keys) return keys.error();
  for (const std::string& text : (*store)->take_notices()) {
    if (observer.notice) observer.notice(text);
  }
  Result<ReaderSettings> reader = fit_reader(options.reader, **store, clock);
  if (!reader) return reader.error();
  std::unique_ptr<ModelCopy> model;
  if (!options.model_path.empty()) {
    Result<std::unique_ptr<ModelCopy>> opened = ModelCopy::open(storage, options.model_path);
    if (!opened) return opened.error();
    model = std::move(*opened);
  }
  WorkerDaemon daemon(options, *reader, storage, clock, observer, *keys, **kernels,
                      std::move(*store), std::move(model));
  if (Status added = daemon.add_pools(); !added) return added;
  return daemon.run(stop);
}

}  // namespace potluck
