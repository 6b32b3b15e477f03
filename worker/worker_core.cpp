// All pools share one store, one processor and one table of connections. An event goes to its
// session; what it means for the others (memory, connections, grains that were lost) follows in
// after_event(), and every entry point ends there.
#include "worker/worker_core.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "worker/duty_cycle.h"
#include "worker/idle_scrub.h"
#include "worker/pool_session.h"
#include "worker/store_room.h"
#include "worker/work_turns.h"
#include "worker/worker_context.h"

namespace potluck {
namespace {

// Work that took longer than this has kept us from listening: silence meanwhile means nothing.
constexpr Duration kBusy = std::chrono::milliseconds(100);
// A pool that asked for work so lately shares the processor with the others.
constexpr Duration kSharing = std::chrono::seconds(2);
// Manifests of pools that are away, kept for when they are back.
constexpr size_t kSpareManifests = 8;
constexpr const char* kEnded = "the worker has ended";  // what coordinators are told
// After a start, how long what pools have in the store waits for them. A coordinator that is there
// is found within seconds.
constexpr Duration kReturnTime = std::chrono::minutes(1);

}  // namespace

struct WorkerCore::Impl {
  Impl(const WorkerOptions& options, GrainStore& store, const KernelTable& kernels,
       ThreadPool& threads, const Clock& clock, ManifestStore* manifests)
      : context{options,
                kernel_self_test(kernels),
                store,
                manifests,
                clock,
                UnitCompute(kernels, threads, clock, options.processor),
                {},
                [this](uint64_t bytes) { return make_room(bytes, awaits_pools()); },
                [this](const Digest& digest, const SignedManifest& manifest) {
                  return save_manifest(digest, manifest);
                },
                GrainServer(store, options.serve_rate),
                OwnSpeed(options.meter, clock)},
        scrub(store, clock) {
    // Manifests count against the quota like grains: otherwise coordinators could fill the disk
    // with them.
    if (manifests != nullptr) store.set_other_bytes(manifests->bytes());
  }

  // Nothing happens for a coordinator that is not in the table.
  template <class Event>
  void with_session(const PeerKey& coordinator, const Event& event) {
    auto found = sessions.find(coordinator);
    if (found == sessions.end()) return;
    event(*found->second);
    after_event();
  }
  // Silence does not count for the time in which we did not listen.
  template <class Work>
  void timed(const Work& work) {
    TimePoint start = context.clock.now();
    work();
    if (context.clock.now() - start < kBusy) return;
    for (auto& [key, session] : sessions) session->excuse_silence();
  }
  PoolSession::Changes take_changes();
  void after_event();
  bool memory_divided() const;
  void divide_memory();
  void limit_memory();
  bool fits(uint64_t cache_bytes) const;
  uint64_t cache_bytes() const;
  PeerKey least_welcome(const std::set<PeerKey>& pools) const;
  void pass_on_losses();
  void tell_of_connections(const std::map<PeerKey, std::string>& wanted);
  bool awaits_pools() const;
  bool make_room(uint64_t bytes, bool keep_away);
  Status save_manifest(const Digest& digest, const SignedManifest& manifest);
  void scrub_store();
  void measure_again();
  bool is_peer(const PeerKey& key) const { return !sessions.contains(key); }
  template <class Event>
  void with_all_sessions(const Event& event);
  void on_link(const PeerKey& peer, Channel channel, LinkEvent event);
  uint64_t servable_bytes(const PeerKey& peer, const FetchGrain& fetch) const;
  void serve();
  void update_peers();

  void compute();
  PoolSession* next_in_turn();
  void answer_done();
  bool has_work() const;
  Duration block_time() const;
  std::optional<TimePoint> next_block() const;

  WorkerContext context;
  WorkTurns turns;
  DutyCycle duty;
  const TimePoint started_at{context.clock.now()};
  TimePoint ticked_at{0};
  TimePoint busy_until{0};  // what was computed took so long; later than now only if simulated
  IdleScrub scrub;
  std::map<PeerKey, std::unique_ptr<PoolSession>> sessions;
  std::set<PeerKey> sharing;                       // pools that have a part of the memory
  std::map<PeerKey, std::string> connected_peers;  // their endpoints; asked for, at least
  std::set<PeerKey> live_peers;                    // of them, those that are connected
  std::set<PeerKey> admitted_peers;
};

// Something about another worker: every session looks whether it is one of its sources.
template <class Event>
void WorkerCore::Impl::with_all_sessions(const Event& event) {
  for (const auto& [key, session] : sessions) event(*session);
  after_event();
}

void WorkerCore::Impl::on_link(const PeerKey& peer, Channel channel, LinkEvent event) {
  auto tell = [&](PoolSession& session) { session.on_link(peer, channel, event); };
  if (is_peer(peer)) {
    with_all_sessions(tell);
  } else {
    with_session(peer, tell);
  }
}

// The length of the grain if this peer may have it: a pool that names the peer has the grain in its
// manifest. Otherwise 0.
uint64_t WorkerCore::Impl::servable_bytes(const PeerKey& peer, const FetchGrain& fetch) const {
  for (const auto& [key, session] : sessions) {
    const Manifest* manifest = session->manifest();
    if (manifest == nullptr || !session->sources().has_peer(peer)) continue;
    if (!manifest->contains(fetch.grain)) continue;
    if (manifest->digest_of(fetch.grain) == fetch.digest) return manifest->grain_bytes(fetch.grain);
  }
  return 0;
}

// One part a turn: between any two of them work that has come is done.
void WorkerCore::Impl::serve() {
  std::optional<BulkPart> part = context.server.next(context.clock.now());
  if (!part) return;
  context.actions.emplace_back(
      SendMessage{part->peer, Channel::kServe, part->data, std::move(part->bytes)});
}

// Connections to other workers, and the workers that may connect to us, are those of all sessions
// together. A coordinator's key is never taken for a worker's.
void WorkerCore::Impl::update_peers() {
  std::map<PeerKey, std::string> wanted;
  std::set<PeerKey> admitted;
  for (const auto& [key, session] : sessions) session->sources().collect_peers(&wanted, &admitted);
  std::erase_if(wanted, [&](const auto& peer) { return !is_peer(peer.first); });
  for (const auto& [peer, endpoint] : connected_peers) {
    if (wanted.contains(peer)) continue;
    context.actions.emplace_back(DisconnectPeer{peer});
    live_peers.erase(peer);
  }
  for (const auto& [peer, endpoint] : wanted) {
    auto known = connected_peers.find(peer);
    if (known != connected_peers.end() && known->second == endpoint) continue;
    context.actions.emplace_back(ConnectPeer{peer, endpoint});
    live_peers.erase(peer);
  }
  tell_of_connections(wanted);
  connected_peers = std::move(wanted);
  if (admitted == admitted_peers) return;
  for (const PeerKey& peer : admitted_peers) {
    if (!admitted.contains(peer)) context.server.forget(peer);
  }
  admitted_peers = std::move(admitted);
  context.actions.emplace_back(AdmitPeers{admitted_peers});
}

bool WorkerCore::Impl::has_work() const {
  return std::any_of(sessions.begin(), sessions.end(),
                     [](const auto& entry) { return entry.second->has_work(); });
}

// Computes for at most one block's time: several small requests if they fit. Between two blocks the
// loop takes a turn: a worker that computed a prefill of 6 s in one piece was silent meanwhile, was
// declared dead, and again with every message after it had come back.
void WorkerCore::Impl::compute() {
  TimePoint start = context.clock.now();
  TimePoint end = start + block_time();
  // A simulated processor is busy beyond the real time that was taken: until then nothing is
  // answered and nothing begun.
  for (TimePoint now = start; now >= busy_until; now = context.clock.now()) {
    answer_done();
    bool begins = now < end && now >= duty.rest_until();
    PoolSession* session = begins ? next_in_turn() : nullptr;
    if (session == nullptr) return;
    Duration took = session->work(end - now);
    turns.took(session->coordinator(), took);
    busy_until = now + took;
    duty.worked(std::max(busy_until, context.clock.now()), took);
  }
}

void WorkerCore::Impl::answer_done() {
  for (const auto& [key, session] : sessions) {
    if (session->answering().done()) session->answer();
  }
}

PoolSession* WorkerCore::Impl::next_in_turn() {
  PoolSession* next = nullptr;
  for (const auto& [key, session] : sessions) {
    if (!session->has_work()) {
      turns.idle(key);
    } else if (next == nullptr || turns.before(key, next->coordinator())) {
      next = session.get();
    }
  }
  return next;
}

Duration WorkerCore::Impl::block_time() const {
  TimePoint now = context.clock.now();
  auto asking = std::count_if(sessions.begin(), sessions.end(), [&](const auto& entry) {
    return entry.second->answering().asked_at() > now - kSharing;
  });
  return asking > 1 ? kSharedBlockTime : kBlockTime;
}

// While a simulated processor is busy, beats go out as between its blocks.
std::optional<TimePoint> WorkerCore::Impl::next_block() const {
  if (!has_work()) return std::nullopt;
  TimePoint now = context.clock.now();
  if (busy_until > now) return std::min(busy_until, ticked_at + kBlockTime);
  // What was computed is answered at once; a rest comes before the next block.
  bool answers = std::any_of(sessions.begin(), sessions.end(),
                             [](const auto& entry) { return entry.second->answering().done(); });
  return answers ? now : std::max(now, duty.rest_until());
}

// A connection that one pool has opened serves another one as well: it will not be made again.
void WorkerCore::Impl::tell_of_connections(const std::map<PeerKey, std::string>& wanted) {
  for (const auto& [peer, endpoint] : wanted) {
    if (!live_peers.contains(peer)) continue;
    for (const auto& [key, session] : sessions) {
      if (!session->sources().is_connecting(peer)) continue;
      session->on_link(peer, Channel::kBulk, LinkEvent::kConnected);
    }
  }
}

// A grain that was found altered while it was used or served is fetched again by the pools that
// need it.
void WorkerCore::Impl::pass_on_losses() {
  if (context.store.take_gone()) {
    for (const auto& [key, session] : sessions) session->on_store_gone();
  }
  for (const Digest& digest : context.store.take_lost()) {
    for (const auto& [key, session] : sessions) session->on_grain_lost(digest, "");
  }
}

PoolSession::Changes WorkerCore::Impl::take_changes() {
  PoolSession::Changes all;
  for (const auto& [key, session] : sessions) {
    PoolSession::Changes changes = session->take_changes();
    all.links = all.links || changes.links;
    all.memory = all.memory || changes.memory;
  }
  return all;
}

// Sessions end and manifests come and go inside an event; what follows from that is done after
// it.
void WorkerCore::Impl::after_event() {
  auto ended = [](const auto& entry) { return entry.second->ended(); };
  // The order matters: losses and changes come from sessions that may end here; dividing the memory
  // may end further ones; connections follow from those that are left.
  pass_on_losses();
  PoolSession::Changes changes = take_changes();
  size_t ended_sessions = std::erase_if(sessions, ended);
  if (changes.memory || !memory_divided()) {
    divide_memory();
    ended_sessions += std::erase_if(sessions, ended);
  }
  if (changes.links || ended_sessions > 0) update_peers();
}

// Whether exactly the pools whose manifest is known have a part.
bool WorkerCore::Impl::memory_divided() const {
  size_t pools = 0;
  for (const auto& [key, session] : sessions) {
    if (session->manifest() == nullptr) continue;
    if (!sharing.contains(key)) return false;
    ++pools;
  }
  return pools == sharing.size();
}

// What is kept beyond kKeptBytes comes out of the caches, in steps: a new share empties a cache.
uint64_t WorkerCore::Impl::cache_bytes() const {
  constexpr uint64_t kStep = 16 * kMiB;
  uint64_t kept = 0;
  for (const auto& [key, session] : sessions) {
    if (!session->ended()) kept += session->kept_bytes();
  }
  uint64_t taken = kept > kKeptBytes ? round_up<uint64_t>(kept - kKeptBytes, kStep) : 0;
  return context.options.ram_bytes - std::min(taken, context.options.ram_bytes);
}

void WorkerCore::Impl::divide_memory() {
  std::set<PeerKey> pools;
  for (const auto& [key, session] : sessions) {
    if (session->manifest() != nullptr && !session->ended()) pools.insert(key);
  }
  // Each round takes one pool away, so it ends.
  while (!pools.empty() && !fits(cache_bytes() / pools.size())) {
    PeerKey leaving = least_welcome(pools);
    sessions.at(leaving)->refuse_memory(cache_bytes() / pools.size());
    pools.erase(leaving);
  }
  size_t parts = std::max<size_t>(pools.size(), 1);
  for (const auto& [key, session] : sessions) {
    session->set_shares(cache_bytes() / parts, kFetchWindowBytes / parts);
  }
  sharing = std::move(pools);
  limit_memory();
}

// What pressure leaves of the caches, in the same parts. Unlike a new share, it empties none.
void WorkerCore::Impl::limit_memory() {
  const uint64_t most = context.health.use.cache_bytes;
  const uint64_t limit = most == 0 ? UINT64_MAX : most / std::max<size_t>(sharing.size(), 1);
  for (const auto& [key, session] : sessions) session->set_cache_limit(limit);
}

// Which pool to leave when there is not enough memory: one that has just come, else the one that
// makes us keep most.
PeerKey WorkerCore::Impl::least_welcome(const std::set<PeerKey>& pools) const {
  return *std::max_element(pools.begin(), pools.end(), [this](const PeerKey& a, const PeerKey& b) {
    auto rank = [this](const PeerKey& key) {
      return std::pair(!sharing.contains(key), sessions.at(key)->kept_bytes());
    };
    return rank(a) < rank(b);
  });
}

// Whether every pool can hold at least one grain with such a share.
bool WorkerCore::Impl::fits(uint64_t cache_bytes) const {
  return std::all_of(sessions.begin(), sessions.end(), [&](const auto& entry) {
    const Manifest* manifest = entry.second->manifest();
    return manifest == nullptr || entry.second->ended() ||
           manifest->largest_grain_bytes() <= cache_bytes;
  });
}

// Whether a pool that was here before the start may only need a moment to be back. One that is gone
// is greeted for ever, so this ends.
bool WorkerCore::Impl::awaits_pools() const {
  if (context.clock.now() - started_at >= kReturnTime) return false;
  return std::any_of(sessions.begin(), sessions.end(),
                     [](const auto& entry) { return entry.second->manifest() == nullptr; });
}

bool WorkerCore::Impl::make_room(uint64_t bytes, bool keep_away) {
  if (!context.store.gone() && bytes <= context.store.room_bytes()) return true;
  if (context.store.gone()) return context.store.reconnect() && make_room(bytes, keep_away);
  // Then nothing that is removed would help.
  if (bytes > context.store.writes().allowance()) return false;
  StoreClaims claims;
  claims.manifests = context.manifests;
  claims.keep_away = keep_away;
  for (const auto& [key, session] : sessions) {
    session->units().collect_grains(&claims.needed);
    if (session->manifest() == nullptr) continue;
    claims.joined.push_back(session->manifest());
    if (auto name = session->manifest_name()) claims.joined_names.insert(*name);
  }
  return make_store_room(context.store, std::move(claims), bytes);
}

// Manifests and grains share the quota. Those of pools that are away stay while there is room.
Status WorkerCore::Impl::save_manifest(const Digest& digest, const SignedManifest& manifest) {
  std::set<Digest> used;
  for (const auto& [key, session] : sessions) {
    if (auto name = session->manifest_name()) used.insert(*name);
  }
  ManifestStore& stored = *context.manifests;
  uint64_t bytes = manifest.body.size() + manifest.signature.size();
  for (size_t spare : {kSpareManifests, size_t{0}}) {
    stored.remove_unused(used, spare);
    context.store.set_other_bytes(stored.bytes());
    // Rather some grains of a pool that is away than its manifest: then nothing names the others.
    if (!make_room(bytes, false)) continue;
    Status saved = stored.save(digest, manifest);
    if (saved) context.store.note_written(bytes);
    context.store.set_other_bytes(stored.bytes());
    return saved;
  }
  return Error{ErrorCode::kLimit,
               fmt::format("it has {} bytes, the store has room for {} of its {}", bytes,
                           context.store.room_bytes(), context.store.quota_bytes())};
}

// Grains that rotted are fetched again by the pools that need them.
void WorkerCore::Impl::scrub_store() {
  std::optional<ScrubResult> result = scrub.on_tick();
  if (!result) return;
  for (size_t i = 0; i < result->lost.size(); ++i) {
    for (const auto& [key, session] : sessions) {
      session->on_grain_lost(result->lost[i], result->findings[i]);
    }
  }
}

// While nothing else is to be done.
void WorkerCore::Impl::measure_again() {
  if (has_work() || !context.speed.on_tick()) return;
  for (const auto& [key, session] : sessions) session->tell_speed();
}

WorkerCore::WorkerCore(const WorkerOptions& options, GrainStore& store, const KernelTable& kernels,
                       ThreadPool& pool, const Clock& clock, ManifestStore* manifests)
    : impl_(std::make_unique<Impl>(options, store, kernels, pool, clock, manifests)) {}

WorkerCore::~WorkerCore() = default;

void WorkerCore::add_pool(const PoolAddress& address) {
  auto [entry, fresh] = impl_->sessions.try_emplace(address.coordinator);
  if (!fresh) return;
  entry->second = std::make_unique<PoolSession>(address, impl_->context);
  impl_->divide_memory();
  entry->second->start();
  impl_->after_event();
}

void WorkerCore::on_message(const PeerKey& from, Channel channel, Message message,
                            ByteVector tensor) {
  // Beats come every second: if they counted as work, the store would never be scrubbed.
  if (!std::holds_alternative<Heartbeat>(message)) {
    impl_->scrub.worked();
    impl_->context.speed.worked();
  }
  if (channel == Channel::kServe) {
    const auto* fetch = std::get_if<FetchGrain>(&message);
    if (fetch == nullptr) return;
    impl_->context.server.on_fetch(from, *fetch, impl_->servable_bytes(from, *fetch));
    return;
  }
  if (impl_->is_peer(from)) {
    const auto* data = std::get_if<BulkData>(&message);
    if (channel != Channel::kBulk || data == nullptr) return;
    impl_->with_all_sessions([&](PoolSession& session) {
      impl_->timed([&] { session.on_peer_data(from, *data, tensor); });
    });
    return;
  }
  bool idle = !impl_->has_work();
  impl_->with_session(from, [&](PoolSession& session) {
    impl_->timed([&] {
      session.on_message(channel, message, tensor);
      // In the same turn: a layer of a token waits for this answer. Where something else is being
      // computed, the next tick decides whose turn it is.
      if (idle && session.has_work()) impl_->compute();
    });
  });
}

void WorkerCore::on_not_served(bool gone) {
  impl_->context.server.not_sent(gone, impl_->context.clock.now());
}

void WorkerCore::on_unreachable(const PeerKey& peer) {
  if (impl_->is_peer(peer)) impl_->live_peers.erase(peer);
  impl_->on_link(peer, Channel::kBulk, LinkEvent::kLost);
}

void WorkerCore::on_connected(const PeerKey& peer, Channel channel) {
  if (impl_->is_peer(peer) && impl_->connected_peers.contains(peer)) {
    impl_->live_peers.insert(peer);
  }
  impl_->on_link(peer, channel, LinkEvent::kConnected);
}

void WorkerCore::on_refused(const PeerKey& peer, Channel channel) {
  if (impl_->is_peer(peer)) impl_->live_peers.erase(peer);
  impl_->on_link(peer, channel, LinkEvent::kRefused);
}

void WorkerCore::on_moved(const PeerKey& coordinator, const std::string& serve_endpoint) {
  impl_->with_session(coordinator, [&](PoolSession& session) { session.on_moved(serve_endpoint); });
}

void WorkerCore::on_tick() {
  impl_->ticked_at = impl_->context.clock.now();
  impl_->scrub_store();
  impl_->timed([this] {
    impl_->measure_again();
    impl_->serve();
    for (auto& [key, session] : impl_->sessions) session->on_tick();
    if (impl_->has_work()) impl_->compute();
  });
  impl_->after_event();
}

void WorkerCore::excuse_silence() {
  for (auto& [key, session] : impl_->sessions) session->excuse_absence();
}

void WorkerCore::on_network_changed() {
  for (auto& [key, session] : impl_->sessions) session->on_network_changed();
  impl_->after_event();
}

void WorkerCore::leave_all() {
  for (auto& [key, session] : impl_->sessions) session->leave(kEnded);
  impl_->after_event();
}

void WorkerCore::leave_gently() {
  for (auto& [key, session] : impl_->sessions) session->leave_gently(kEnded);
  impl_->after_event();
}

void WorkerCore::set_health(const HealthReport& health) {
  impl_->context.health = health;
  impl_->duty.set_share(health.share);
  impl_->limit_memory();
  for (auto& [key, session] : impl_->sessions) session->on_health();
  impl_->after_event();
}

std::vector<WorkerAction> WorkerCore::take_actions() {
  return std::exchange(impl_->context.actions, {});
}

TimePoint WorkerCore::next_tick() const {
  TimePoint next =
      impl_->context.server.next_tick(impl_->context.clock.now()).value_or(TimePoint::max());
  if (!impl_->sessions.empty()) next = std::min(next, impl_->scrub.next_tick());
  if (auto block = impl_->next_block()) next = std::min(next, *block);
  if (!impl_->sessions.empty() && !impl_->has_work()) {
    if (auto due = impl_->context.speed.next_tick()) next = std::min(next, *due);
  }
  for (const auto& [key, session] : impl_->sessions) next = std::min(next, session->next_tick());
  return next;
}

std::vector<MembershipStatus> WorkerCore::status() const {
  std::vector<MembershipStatus> all;
  for (const auto& [key, session] : impl_->sessions) all.push_back(session->status());
  return all;
}

Status WorkerCore::validate() const {
  for (const auto& [key, session] : impl_->sessions) {
    if (Status valid = session->validate(); !valid) return valid;
  }
  return {};
}

size_t WorkerCore::pools() const {
  return impl_->sessions.size();
}

uint64_t WorkerCore::bytes_served() const {
  return impl_->context.server.bytes_served();
}

uint64_t WorkerCore::resident_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [key, session] : impl_->sessions) bytes += session->answering().resident_bytes();
  return bytes;
}

}  // namespace potluck
