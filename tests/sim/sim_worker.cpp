#include "tests/sim/sim_worker.h"

#include <algorithm>

#include "engine/base/check.h"
#include "tests/support/grain_on_disk.h"

namespace potluck::sim {
namespace {

const char* const kStore = "/store";
// A core that asks for ticks without end cannot stop the clock.
constexpr Duration kLeastTick = std::chrono::milliseconds(1);

}  // namespace

SimWorker::SimWorker(SimWorkerOptions options, const KernelTable& kernels, const ManualClock& clock,
                     SimNetwork& network, FindWorker find_worker)
    : options_(std::move(options)),
      kernels_(kernels),
      clock_(clock),
      network_(network),
      find_worker_(std::move(find_worker)) {}

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
  options.model = options_.model;
  core_ =
      std::make_unique<WorkerCore>(options, *store_, kernels_, threads_, clock_, manifests_.get());
  PoolAddress own = address;
  if (options_.serves) own.serve_endpoint = "tcp://127.0.0.1:7100";  // the network goes by keys
  core_->add_pool(own);
  run_actions();
}

void SimWorker::kill(bool quietly) {
  if (!running()) return;
  network_.detach(key(), quietly);
  core_.reset();
  admitted_.clear();
  manifests_.reset();
  store_.reset();
}

void SimWorker::freeze(TimePoint until) {
  frozen_until_ = until;
  network_.freeze(key(), until);
}

void SimWorker::reconnected() {
  if (!running()) return;
  for (Channel channel : {Channel::kCompute, Channel::kBulk}) {
    if (network_.connected(key(), coordinator_, channel))
      core_->on_connected(coordinator_, channel);
  }
  run_actions();
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
  Result<Message> message = decode_header(delivery.frames.header);
  if (!message) return;
  bool from_worker = delivery.from != coordinator_;
  Channel channel = delivery.channel;
  if (from_worker && channel == Channel::kBulk) {  // the other side of its channel
    if (silent_ || !admits(delivery.from)) return;
    channel = Channel::kServe;
  } else if (from_worker) {
    channel = Channel::kBulk;
  }
  core_->on_message(delivery.from, channel, std::move(*message), std::move(delivery.frames.tensor));
  run_actions();
}

std::optional<TimePoint> SimWorker::next_tick() const {
  if (!running()) return std::nullopt;
  return std::max({core_->next_tick(), last_tick_ + kLeastTick, frozen_until_});
}

void SimWorker::tick() {
  last_tick_ = clock_.now();
  core_->on_tick();
  run_actions();
}

MembershipStatus SimWorker::status() const {
  auto all = running() ? core_->status() : std::vector<MembershipStatus>{};
  return all.empty() ? MembershipStatus{} : all.front();
}

void SimWorker::run_actions() {
  for (auto actions = core_->take_actions(); !actions.empty(); actions = core_->take_actions()) {
    for (WorkerAction& action : actions) {
      if (auto* message = std::get_if<SendMessage>(&action)) {
        send(*message);
      } else if (auto* channel = std::get_if<ConnectChannel>(&action)) {
        network_.connect(key(), coordinator_, channel->channel);
      } else if (auto* gone = std::get_if<DisconnectPeer>(&action)) {
        network_.disconnect(key(), gone->peer);
      } else if (auto* peer = std::get_if<ConnectPeer>(&action)) {
        connect(*peer);
      } else if (auto* admitted = std::get_if<AdmitPeers>(&action)) {
        admitted_ = std::move(admitted->peers);
      } else if (auto* notice = std::get_if<Notice>(&action)) {
        (notice->fatal ? fatal_notices_ : notices_).push_back(notice->text);
      }
    }
  }
}

void SimWorker::send(SendMessage& message) {
  Frames frames{encode_header(message.message), std::move(message.tensor)};
  Status sent = network_.send(key(), message.peer, message.channel, std::move(frames));
  bool to_coordinator = message.peer == coordinator_;
  if (!sent && (to_coordinator || message.channel == Channel::kBulk)) {
    core_->on_unreachable(message.peer);
  }
}

// As over sockets: one that is not there is tried without end, one that does not know us says so.
void SimWorker::connect(const ConnectPeer& connection) {
  const PeerKey& peer = connection.peer;
  if (network_.severed(key(), peer) || !network_.listening(peer)) return;
  const SimWorker* worker = find_worker_(peer);
  if (worker == nullptr || !worker->admits(key())) {
    core_->on_refused(peer, Channel::kBulk);
    return;
  }
  network_.connect(key(), peer, Channel::kBulk);
  core_->on_connected(peer, Channel::kBulk);
}

}  // namespace potluck::sim
