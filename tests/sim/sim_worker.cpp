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
                     SimNetwork& network)
    : options_(std::move(options)), kernels_(kernels), clock_(clock), network_(network) {}

void SimWorker::start(const PoolAddress& address) {
  CHECK(!running());
  network_.attach(key());
  frozen_until_ = TimePoint{0};
  coordinator_ = address.coordinator;
  auto store = GrainStore::open(disk_, kStore, options_.disk_bytes);
  CHECK(store.ok());
  store_ = std::move(*store);
  manifests_ = std::make_unique<ManifestStore>(disk_, kStore);
  WorkerOptions options{options_.name, "simulated", options_.ram_bytes, options_.disk_bytes};
  core_ =
      std::make_unique<WorkerCore>(options, *store_, kernels_, threads_, clock_, manifests_.get());
  core_->add_pool(address);
  run_actions();
}

void SimWorker::kill(bool quietly) {
  if (!running()) return;
  network_.detach(key(), quietly);
  core_.reset();
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
  Result<Message> message = decode_header(delivery.frames.header);
  if (!message) return;
  core_->on_message(delivery.from, delivery.channel, std::move(*message),
                    std::move(delivery.frames.tensor));
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

void SimWorker::run_actions() {
  bool unreachable = false;
  for (WorkerAction& action : core_->take_actions()) {
    if (auto* send = std::get_if<SendMessage>(&action)) {
      Frames frames{encode_header(send->message), std::move(send->tensor)};
      Status sent = network_.send(key(), send->peer, send->channel, std::move(frames));
      unreachable |= !sent.ok();
    } else if (auto* connect = std::get_if<ConnectChannel>(&action)) {
      network_.connect(key(), connect->channel);
    } else if (std::holds_alternative<DisconnectPeer>(action)) {
      network_.disconnect(key());
    } else if (auto* notice = std::get_if<Notice>(&action); notice->fatal) {
      fatal_notices_.push_back(notice->text);
    }
  }
  if (unreachable) core_->on_unreachable(coordinator_);
}

}  // namespace potluck::sim
