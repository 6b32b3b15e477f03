#include "tests/sim/sim_worker.h"

#include <algorithm>

#include "engine/base/check.h"
#include "tests/support/grain_on_disk.h"

namespace potluck::sim {
namespace {

const char* const kStore = "/store";
// Far more than there is to do at one moment: one grain is served or cut in a turn.
constexpr uint64_t kMostTurnsInPlace = 20'000;
// As libzmq is told to try again in protocol/zmq_socket.cpp.
constexpr Duration kFirstReconnect = std::chrono::milliseconds(100);
constexpr Duration kLongestReconnect = std::chrono::seconds(2);

}  // namespace

SimWorker::SimWorker(SimWorkerOptions options, const KernelTable& kernels, const ManualClock& clock,
                     SimNetwork& network, FindWorker find_worker)
    : options_(std::move(options)),
      kernels_(kernels),
      clock_(clock),
      network_(network),
      find_worker_(std::move(find_worker)),
      random_(options_.seed) {}

void SimWorker::start(const PoolAddress& address) {
  CHECK(!running());
  network_.attach(key());
  frozen_until_ = TimePoint{0};
  coordinator_ = address.coordinator;
  auto store = GrainStore::open(disk_, kStore, options_.disk_bytes);
  CHECK(store.ok());
  store_ = std::move(*store);
  manifests_ = std::make_unique<ManifestStore>(disk_, kStore);
  WorkerOptions options;
  options.name = options_.name;
  options.software = "simulated";
  options.ram_bytes = options_.ram_bytes;
  options.disk_bytes = options_.disk_bytes;
  options.serve_rate = options_.serve_rate;
  options.model = options_.model;
  options.processor = options_.processor;
  core_ =
      std::make_unique<WorkerCore>(options, *store_, kernels_, threads_, clock_, manifests_.get());
  Transport& transport = *this;
  WorkerLinks& links = *this;
  loop_ =
      std::make_unique<WorkerLoop>(*core_, transport, links, clock_, [this](const Notice& notice) {
        (notice.fatal ? fatal_notices_ : notices_).push_back(notice.text);
      });
  PoolAddress own = address;
  if (options_.serves) own.serve_endpoint = "tcp://127.0.0.1:7100";  // the network goes by keys
  core_->add_pool(own);
  turn();
}

void SimWorker::kill(bool quietly) {
  if (!running()) return;
  network_.detach(key(), quietly);
  loop_.reset();
  core_.reset();
  links_.clear();
  inbox_.clear();
  admitted_.clear();
  manifests_.reset();
  store_.reset();
}

void SimWorker::freeze(TimePoint until) {
  frozen_until_ = until;
  network_.freeze(key(), until);
}

bool SimWorker::flip_bit(uint64_t which) {
  if (!disk_.exists(std::string(kStore) + "/index")) return false;
  GrainRecords records = test::records_on_disk(disk_, kStore);
  std::vector<Digest> grains;
  for (const auto& [digest, record] : records) grains.push_back(digest);
  if (grains.empty()) return false;
  std::sort(grains.begin(), grains.end());
  auto grain = test::grain_on_disk(disk_, kStore, grains[which % grains.size()]);
  disk_.flip_bit(grain->path, grain->offset + which % 1000);
  return true;
}

void SimWorker::deliver(Delivery delivery) {
  if (!running()) return;
  bool from_worker = delivery.from != coordinator_;
  Channel channel = delivery.channel;
  if (from_worker && channel == Channel::kBulk) {  // the other side of its channel
    if (silent_ || !admits(delivery.from)) return;
    channel = Channel::kServe;
  } else if (from_worker) {
    channel = Channel::kBulk;
  }
  inbox_.push_back({delivery.from, channel, std::move(delivery.frames)});
  while (running() && !inbox_.empty()) turn();
}

std::optional<TimePoint> SimWorker::next_wake() const {
  if (!running()) return std::nullopt;
  return std::max(wake_at_, frozen_until_);
}

void SimWorker::wake() {
  turn();
}

// What the process does when its wait ends. The loop is told to wait no more: this is the end of
// its wait already, at or after the moment it waited for.
void SimWorker::turn() {
  bool moved = !inbox_.empty() || clock_.now() > last_turn_;
  last_turn_ = clock_.now();
  loop_->turn(Duration::zero());
  check(moved);
  TimePoint due = loop_->next_due();
  if (due <= clock_.now()) {
    // One that spins must not stop the clock.
    wake_at_ = clock_.now() + (violations_.empty() ? Duration(0) : kFirstReconnect);
  } else {
    wake_at_ = std::min(due + draw_lateness(), clock_.now() + loop_->longest_wait());
  }
}

void SimWorker::check(bool moved) {
  turns_in_place_ = moved ? 0 : turns_in_place_ + 1;
  if (turns_in_place_ > kMostTurnsInPlace && violations_.empty()) {
    violations_.push_back(name() + " turns without end: what is due stays due");
  }
  if (core_->pools() > 0 && loop_->next_due() == TimePoint::max() && violations_.empty()) {
    violations_.push_back(name() + " waits for nothing: nothing will ever be due again");
  }
}

// An operating system wakes nobody early, and sometimes much too late.
Duration SimWorker::draw_lateness() {
  uint64_t draw = random_.bits(++wakes_);
  if (draw % 4 == 0) return Duration::zero();
  uint64_t most = draw % 64 == 1 ? 300'000 : 2'000;
  return std::chrono::microseconds((draw >> 8) % most);
}

MembershipStatus SimWorker::status() const {
  auto all = running() ? core_->status() : std::vector<MembershipStatus>{};
  return all.empty() ? MembershipStatus{} : all.front();
}

Status SimWorker::send(const PeerKey& peer, Channel channel, Frames frames) {
  return network_.send(key(), peer, channel, std::move(frames));
}

std::optional<Envelope> SimWorker::receive(Duration) {
  if (inbox_.empty()) return std::nullopt;
  Envelope envelope = std::move(inbox_.front());
  inbox_.pop_front();
  return envelope;
}

Status SimWorker::connect(const PeerKey& peer, Channel channel, const std::string&) {
  network_.disconnect(key(), peer, channel);
  links_[{peer, channel}] = {};
  return {};
}

void SimWorker::disconnect(const PeerKey& peer) {
  network_.disconnect(key(), peer);
  std::erase_if(links_, [&](const auto& link) { return link.first.first == peer; });
}

void SimWorker::disconnect(const PeerKey& peer, Channel channel) {
  network_.disconnect(key(), peer, channel);
  links_.erase({peer, channel});
}

// As over sockets: one that is not there is tried without end, one that does not know us says so.
LinkState SimWorker::state(const PeerKey& peer, Channel channel) {
  auto found = links_.find({peer, channel});
  if (found == links_.end()) return LinkState::kClosed;
  Link& link = found->second;
  if (link.refused) return LinkState::kRefused;
  if (network_.connected(key(), peer, channel)) return LinkState::kConnected;
  if (link.made) link = {false, false, 0, clock_.now() + kFirstReconnect};
  if (clock_.now() < link.not_before) return LinkState::kConnecting;
  bool away = network_.severed(key(), peer) || network_.is_cut(key(), peer);
  if (away || !network_.listening(peer)) {
    Duration pause = kFirstReconnect * (int64_t{1} << std::min(link.tries++, 5u));
    link.not_before = clock_.now() + std::min(pause, kLongestReconnect);
    return LinkState::kConnecting;
  }
  const SimWorker* worker = peer == coordinator_ ? nullptr : find_worker_(peer);
  if (peer != coordinator_ && (worker == nullptr || !worker->admits(key()))) {
    link.refused = true;
    return LinkState::kRefused;
  }
  network_.connect(key(), peer, channel);
  link.made = true;
  return LinkState::kConnected;
}

}  // namespace potluck::sim
