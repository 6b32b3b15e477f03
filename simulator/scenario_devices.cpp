#include "simulator/scenario_devices.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/cluster/placement.h"

namespace potluck::sim {
namespace {

constexpr const char* kEventNames[] = {"crash",
                                       "power-cut",
                                       "sleep",
                                       "stall",
                                       "link-down",
                                       "one-way",
                                       "deaf",
                                       "disk-full",
                                       "disk-errors",
                                       "bit-rot",
                                       "throttle",
                                       "calendar",
                                       "lie",
                                       "join",
                                       "slow-peer",
                                       "coordinator-restart",
                                       "coordinator-stall",
                                       "unplug",
                                       "heat",
                                       "store-gone"};

uint64_t expert_bytes_of(const Manifest& manifest) {
  const ManifestLayer& layer = manifest.layers().front();
  return unit_bytes(manifest, {static_cast<uint16_t>(layer.layer), 0, 0}, 1);
}

}  // namespace

const char* name_of(EventKind kind) {
  return kEventNames[static_cast<size_t>(kind)];
}

ScenarioDevices::ScenarioDevices(SimPool& pool, const PoolScenario& scenario,
                                 const ShapeModel* shape, uint32_t slices, uint64_t seed)
    : pool_(pool), scenario_(scenario), random_(seed) {
  if (shape != nullptr) {
    auto fleet =
        std::make_unique<CostFleet>(*shape, slices, pool.key(), pool.clock(), pool.network(),
                                    [&pool](const std::string& text) { pool.note(text); });
    fleet_ = fleet.get();
    pool.add_actor(std::move(fleet));
  } else if (scenario.as_if_expert_bytes > 0) {
    cost_factor_ = static_cast<double>(scenario.as_if_expert_bytes) /
                   static_cast<double>(expert_bytes_of(pool.manifest()));
  }
}

void ScenarioDevices::add(const DeviceKind& kind) {
  uint32_t number = ++counts_[kind.name];
  names_.push_back(kind.count == 1 && number == 1 ? kind.name
                                                  : fmt::format("{} {}", kind.name, number));
  kinds_.push_back(kind.name);
  if (fleet_ != nullptr) {
    PeerKey key;
    for (size_t i = 0; i < key.bytes.size(); ++i) {
      key.bytes[i] = static_cast<uint8_t>(random_.bits(names_.size(), i));
    }
    pool_.allow(key);
    fleet_->add(names_.back(), kind, key);
    return;
  }
  auto slower = [&](uint64_t rate) {
    return static_cast<uint64_t>(std::max(1.0, static_cast<double>(rate) / cost_factor_));
  };
  DeviceOptions device;
  device.name = names_.back();
  device.ram_bytes = slower(kind.ram_bytes);
  device.disk_bytes = kind.disk_bytes;
  device.disk_rate = slower(kind.disk_rate);
  device.storage = kind.storage;
  device.battery = kind.battery;
  device.limits = kind.limits;
  if (kind.writes_per_day > 0) device.writes_per_day = slower(kind.writes_per_day);
  const Manifest& manifest = pool_.manifest();
  const ManifestLayer& layer = manifest.layers().front();
  double unit = static_cast<double>(expert_bytes_of(manifest)) / pool_.slices();
  double call = unit / static_cast<double>(slower(kind.products)) * 1e9;
  device.call_time = Duration(static_cast<Duration::rep>(call));
  DeviceSpeed& speed = device.speed.emplace();
  speed.threads = 1;
  speed.disk_bytes_per_second = device.disk_rate;
  if (kind.storage != nullptr) {
    // Requests of experts that are so much smaller take as much longer as their bytes do.
    const double rate = kind.storage->bytes_per_second(kProfileReadBytes);
    speed.disk_bytes_per_second = slower(static_cast<uint64_t>(rate));
  }
  speed.products = {{layer.shape.gate, slower(kind.products), slower(kind.products)}};
  device.link = kind.link;
  pool_.add_worker(device);
}

void ScenarioDevices::add_all_of_scenario() {
  for (const DeviceKind& kind : scenario_.devices) {
    for (uint32_t i = 0; i < kind.count; ++i) add(kind);
  }
}

const PeerKey& ScenarioDevices::key(size_t device) const {
  return fleet_ != nullptr ? fleet_->key_of(device) : pool_.worker(device).key();
}

bool ScenarioDevices::running(size_t device) const {
  return fleet_ != nullptr ? fleet_->running(device) : pool_.worker(device).running();
}

size_t ScenarioDevices::running_count() const {
  size_t count = 0;
  for (size_t i = 0; i < size(); ++i) count += running(i) ? 1 : 0;
  return count;
}

std::vector<DeviceReport> ScenarioDevices::days() const {
  std::vector<DeviceReport> reports;
  for (size_t i = 0; fleet_ == nullptr && i < size(); ++i) {
    const SimWorker& worker = pool_.worker(i);
    reports.push_back({names_[i], worker.is_watched(), worker.day()});
    uint64_t& written = reports.back().day.written_bytes;
    written = static_cast<uint64_t>(static_cast<double>(written) * cost_factor_);
  }
  return reports;
}

void ScenarioDevices::later(Duration lasts, std::function<void()> act) {
  if (lasts > Duration::zero()) pool_.schedule(pool_.clock().now() + lasts, std::move(act));
}

// "*", one by its name, or one of a kind by lot.
std::vector<size_t> ScenarioDevices::chosen(const ScenarioEvent& event) {
  std::vector<size_t> all;
  std::vector<size_t> named;
  std::vector<size_t> alike;
  for (size_t i = 0; i < size(); ++i) {
    all.push_back(i);
    if (names_[i] == event.device) named.push_back(i);
    if (kinds_[i] == event.device) alike.push_back(i);
  }
  if (event.device == "*") return all;
  if (!named.empty()) return named;
  if (event.device.empty()) alike = all;
  if (alike.empty()) return {};
  return {alike[random_.bits(++draws_, 3) % alike.size()]};
}

void ScenarioDevices::apply(const ScenarioEvent& event) {
  if (event.kind == EventKind::kJoin) return join(event);
  if (event.kind == EventKind::kSlowPeer) {
    PeerKey key;
    key.bytes.fill(static_cast<uint8_t>(200 + slow_peers_.size()));
    pool_.allow(key);
    auto peer =
        std::make_unique<SlowPeer>(key, pool_.key(), pool_.model(), pool_.clock(), pool_.network());
    slow_peers_.push_back(peer.get());
    pool_.add_actor(std::move(peer));
    pool_.note("fault: a slow peer joins");
    return;
  }
  for (size_t device : chosen(event)) {
    std::string text = fmt::format("fault: {} of {}", name_of(event.kind), names_[device]);
    if (event.lasts > Duration::zero()) {
      text += fmt::format(" for {:.6g} s", in_seconds(event.lasts));
    }
    pool_.note(text);
    apply_to(event, device);
  }
}

void ScenarioDevices::join(const ScenarioEvent& event) {
  pool_.note(fmt::format("{} more of {} join", event.count, event.device));
  for (const DeviceKind& kind : scenario_.devices) {
    if (kind.name != event.device) continue;
    for (uint64_t i = 0; i < event.count && size() < kScenarioDevices; ++i) add(kind);
  }
}

void ScenarioDevices::apply_to(const ScenarioEvent& event, size_t device) {
  const PeerKey& peer = key(device);
  TimePoint end =
      event.lasts > Duration::zero() ? pool_.clock().now() + event.lasts : TimePoint::max();
  switch (event.kind) {
    case EventKind::kCrash:
      return stop(device, false, event.lasts);
    case EventKind::kPowerCut:
      return stop(device, true, event.lasts);
    case EventKind::kSleep:
      return freeze(device, event.lasts, true);
    case EventKind::kStall:
      return freeze(device, event.lasts, false);
    case EventKind::kLinkDown:
      return pool_.network().cut(peer, pool_.key(), end);
    case EventKind::kOneWay:
      return pool_.network().hold(peer, pool_.key(), end);
    case EventKind::kDeaf:
      return pool_.network().hold(pool_.key(), peer, end);
    case EventKind::kUnplug:
    case EventKind::kHeat:
    case EventKind::kStoreGone:
      if (fleet_ == nullptr) apply_to_body(event, pool_.worker(device));
      return;
    case EventKind::kThrottle:
      throttle(device, event.factor);
      return later(event.lasts, [this, device] { throttle(device, 1); });
    default:
      if (fleet_ == nullptr) apply_to_disk(event, pool_.worker(device));
      if (fleet_ == nullptr && event.kind == EventKind::kLie) {
        pool_.make_liar(device, event.lie, event.count);
      }
  }
}

void ScenarioDevices::apply_to_body(const ScenarioEvent& event, SimWorker& worker) {
  SimWorker* kept = &worker;
  if (event.kind == EventKind::kUnplug) {
    worker.body().plug(false);
    return later(event.lasts, [kept] { kept->body().plug(true); });
  }
  if (event.kind == EventKind::kHeat) {
    worker.warm_to(event.celsius);
    return later(event.lasts, [kept] { kept->warm_to(DeviceBody::kCool); });
  }
  worker.disk().detach(true);
  later(event.lasts, [kept] { kept->disk().detach(false); });
}

// And its calendar.
void ScenarioDevices::apply_to_disk(const ScenarioEvent& event, SimWorker& worker) {
  SimWorker* kept = &worker;
  switch (event.kind) {
    case EventKind::kDiskFull:
      worker.disk().set_capacity(0);
      return later(event.lasts, [kept] { kept->disk().set_capacity(~uint64_t{0} >> 1); });
    case EventKind::kDiskErrors:
      return worker.disk().fail_reads(event.count);
    case EventKind::kBitRot:
      for (uint64_t i = 0; i < event.count; ++i) worker.flip_bit(random_.bits(++draws_, 5));
      return;
    case EventKind::kCalendar:
      worker.clock().set_calendar_off(
          std::chrono::seconds(static_cast<int64_t>(event.factor * 3600)));
      return later(event.lasts, [kept] { kept->clock().set_calendar_off(Duration(0)); });
    default:
      return;
  }
}

void ScenarioDevices::stop(size_t device, bool quietly, Duration lasts) {
  if (!running(device)) return;
  if (fleet_ != nullptr) {
    fleet_->end(device, quietly);
  } else {
    SimWorker& worker = pool_.worker(device);
    worker.kill(quietly);
    if (quietly) worker.disk().cut_power(random_.bits(++draws_, 7));
  }
  later(lasts, [this, device] { start(device); });
}

void ScenarioDevices::start(size_t device) {
  if (running(device)) return;
  if (fleet_ == nullptr) return pool_.restart_worker(device);
  pool_.note(names_[device] + " starts again");
  fleet_->start(device);
}

void ScenarioDevices::freeze(size_t device, Duration lasts, bool clock_stands_still) {
  TimePoint end = pool_.clock().now() + lasts;
  if (fleet_ != nullptr) return fleet_->freeze(device, end);
  SimWorker& worker = pool_.worker(device);
  if (clock_stands_still) {
    worker.sleep(lasts);
  } else {
    worker.freeze(end);
  }
}

void ScenarioDevices::throttle(size_t device, double factor) {
  if (fleet_ != nullptr) {
    fleet_->throttle(device, factor);
  } else {
    pool_.worker(device).throttle(factor);
  }
}

void ScenarioDevices::end_faults() {
  pool_.end_faults();
  for (SlowPeer* peer : std::exchange(slow_peers_, {})) peer->end();
}

bool ScenarioDevices::at_rest() const {
  if (fleet_ == nullptr) return pool_.at_rest();
  if (!pool_.coordinator_runs()) return false;
  const ClusterState& cluster = pool_.core().cluster();
  for (size_t i = 0; i < size(); ++i) {
    if (fleet_->running(i) != (cluster.worker(fleet_->key_of(i)) != nullptr)) return false;
    if (fleet_->running(i) && !fleet_->is_member(i)) return false;
  }
  return pool_.holds_everything();
}

}  // namespace potluck::sim
