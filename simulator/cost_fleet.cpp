#include "simulator/cost_fleet.h"

#include <algorithm>

#include "engine/base/random.h"
#include "protocol/codec.h"
#include "protocol/liveness.h"
#include "protocol/packed_sums.h"

namespace potluck::sim {
namespace {

// Units that became ready are reported together.
constexpr Duration kReportEvery = std::chrono::seconds(1);
// Eight calls add up to about as many bits as the sums of a real layer have.
constexpr uint64_t kCallBits = 19;
// A prompt's rows share what is read (coordinator/cli/nodes_file.h).
constexpr uint64_t kManyRowsFactor = 4;

}  // namespace

CostFleet::CostFleet(const ShapeModel& model, uint32_t slices, const PeerKey& coordinator,
                     const ManualClock& clock, SimNetwork& network, Note note)
    : model_(model),
      slices_(slices),
      coordinator_(coordinator),
      clock_(clock),
      network_(network),
      note_(std::move(note)),
      kernels_(kernel_self_test(model.kernels())) {}

size_t CostFleet::add(const std::string& name, const DeviceKind& kind, const PeerKey& key) {
  size_t index = devices_.size();
  devices_.push_back({name,
                      key,
                      kind,
                      CostDevice(kind, model_.manifest(), slices_),
                      {},
                      {},
                      {},
                      {},
                      {},
                      {},
                      {},
                      {},
                      {},
                      {}});
  index_[key] = index;
  network_.set_link(key, kind.link);
  start(index);
  return index;
}

void CostFleet::start(size_t index) {
  Device& device = devices_.at(index);
  if (device.running) return;
  device.running = true;
  ++device.life;
  device.epoch = 0;
  device.cost.restart(clock_.now());
  network_.attach(device.key);
  put({clock_.now(), 0, 0, 0, Task::kBeat}, index);
}

void CostFleet::end(size_t index, bool quietly) {
  Device& device = devices_.at(index);
  if (!device.running) return;
  device.running = false;
  device.epoch = 0;
  network_.detach(device.key, quietly);
}

void CostFleet::freeze(size_t index, TimePoint until) {
  devices_.at(index).frozen_until = until;
  network_.freeze(devices_.at(index).key, until);
}

void CostFleet::put(Due due, size_t device) {
  due.number = next_number_++;
  due.device = device;
  due.life = devices_[device].life;
  due_.push(std::move(due));
}

TimePoint CostFleet::next_act() const {
  return due_.empty() ? TimePoint::max() : due_.top().at;
}

void CostFleet::act() {
  while (!due_.empty() && due_.top().at <= clock_.now()) {
    Due due = due_.top();
    due_.pop();
    const Device& device = devices_[due.device];
    if (!device.running || device.life != due.life) continue;
    if (device.frozen_until > clock_.now()) {
      due.at = device.frozen_until;
      due_.push(std::move(due));
      continue;
    }
    run(due);
  }
}

void CostFleet::run(Due& due) {
  Device& device = devices_[due.device];
  switch (due.task) {
    case Task::kBeat:
      beat(device);
      put({clock_.now() + kHeartbeatInterval, 0, 0, 0, Task::kBeat}, due.device);
      break;
    case Task::kReady:
      device.stored.insert(due.units.begin(), due.units.end());
      report_ready(device, due.units);
      break;
    case Task::kAnswer:
      if (due.answer.work.epoch != device.epoch) break;
      const ByteVector& sums = sums_of(due.calls);
      due.answer.checksum = checksum_of(due.answer.work, due.answer.row_flags, sums);
      send(device, due.answer, sums);
      break;
  }
}

// A second has passed: it says that it is there, or tries to get in.
void CostFleet::beat(Device& device) {
  if (device.epoch != 0) {
    send(device, Heartbeat{device.epoch, ++device.beats, false});
    if (device.epoch != 0) return;
  }
  greet(device);
}

void CostFleet::greet(Device& device) {
  bool away = network_.severed(device.key, coordinator_) ||
              network_.is_cut(device.key, coordinator_) || !network_.listening(coordinator_);
  if (away) return;
  network_.connect(device.key, coordinator_, Channel::kCompute);
  send(device, Hello{kProtocolVersion, kArithmeticVersion, kernels_, device.name, "simulated",
                     device.kind.ram_bytes, device.kind.disk_bytes, ""});
}

// What cannot be sent shows that the coordinator is gone.
void CostFleet::send(Device& device, const Message& message, ByteVector tensor) {
  Status sent = network_.send(device.key, coordinator_, Channel::kCompute,
                              {encode_header(message), std::move(tensor)});
  if (!sent) device.epoch = 0;
}

void CostFleet::hear(const NetworkMessage& sent) {
  auto found = index_.find(sent.to);
  if (found == index_.end() || !devices_[found->second].running) return;
  Result<Message> message = decode_header(sent.frames.header);
  if (message) on_message(found->second, *message);
}

void CostFleet::on_message(size_t index, const Message& message) {
  Device& device = devices_[index];
  if (const auto* compute = std::get_if<Compute>(&message)) {
    on_compute(index, *compute);
  } else if (const auto* welcome = std::get_if<Welcome>(&message)) {
    on_welcome(device, *welcome);
  } else if (const auto* assignment = std::get_if<Assignment>(&message)) {
    on_assignment(index, *assignment);
  } else if (const auto* beat = std::get_if<Heartbeat>(&message)) {
    if (beat->epoch != device.epoch) {
      greet(device);
    } else if (beat->reply_wanted) {
      send(device, Heartbeat{beat->epoch, beat->sequence, false});
    }
  } else if (const auto* refusal = std::get_if<Refusal>(&message)) {
    note_(device.name + " is refused: " + refusal->message);
    device.epoch = 0;
  } else if (std::holds_alternative<Goodbye>(message)) {
    device.epoch = 0;
  }
}

void CostFleet::on_welcome(Device& device, const Welcome& welcome) {
  device.epoch = welcome.epoch;
  device.version = 0;
  const ManifestLayer& layer = model_.manifest().layers().front();
  DeviceSpeed speed{welcome.epoch, 1, device.kind.disk_rate, {}};
  speed.products.push_back(
      {layer.shape.gate, device.kind.products, device.kind.products * kManyRowsFactor});
  send(device, speed);
}

// What is new is fetched over its link, one after the other.
void CostFleet::on_assignment(size_t index, const Assignment& assignment) {
  Device& device = devices_[index];
  if (assignment.epoch != device.epoch || assignment.version <= device.version) return;
  device.version = assignment.version;
  device.assigned = {assignment.units.begin(), assignment.units.end()};
  if (!std::exchange(device.assigned_before, true)) {
    device.stored.insert(assignment.units.begin(), assignment.units.end());
  }
  std::vector<UnitId> there;
  Due fetched{clock_.now(), 0, 0, 0, Task::kReady};
  TimePoint at = std::max(device.fetching_until, clock_.now());
  TimePoint reported = at;
  for (UnitId unit : assignment.units) {
    if (device.stored.contains(unit)) {
      there.push_back(unit);
      continue;
    }
    double seconds = static_cast<double>(device.cost.bytes_of(unit)) /
                     static_cast<double>(device.kind.link.bytes_per_second);
    at += Duration(static_cast<Duration::rep>(seconds * 1e9));
    fetched.units.push_back(unit);
    if (at - reported < kReportEvery) continue;
    reported = fetched.at = at;
    put(fetched, index);
    fetched.units.clear();
  }
  device.fetching_until = fetched.at = at;
  if (!fetched.units.empty()) put(fetched, index);
  report_ready(device, there);
}

void CostFleet::report_ready(Device& device, const std::vector<UnitId>& units) {
  if (device.epoch == 0 || units.empty()) return;
  Residency residency{device.epoch, device.version, {}, {}};
  for (UnitId unit : units) {
    if (device.assigned.contains(unit)) residency.ready.push_back(unit);
  }
  if (!residency.ready.empty()) send(device, residency);
}

void CostFleet::on_compute(size_t index, const Compute& request) {
  Device& device = devices_[index];
  if (request.work.epoch != device.epoch) return;
  CostDevice::Done done = device.cost.compute(request, clock_.now());
  Due due{done.at, 0, 0, 0, Task::kAnswer};
  due.answer.work = request.work;
  due.answer.row_flags.assign(request.rows.size(), 0);
  for (const ComputeRow& row : request.rows) due.calls.push_back(row.calls.size());
  due.answer.timings = done.work;
  put(std::move(due), index);
}

// Each call adds the same numbers, of about as many bits as real ones have.
const ByteVector& CostFleet::sums_of(const std::vector<size_t>& calls) {
  ByteVector& packed = sums_[calls];
  if (!packed.empty()) return packed;
  const CounterRandom random(0);
  std::vector<int64_t> sums;
  for (size_t count : calls) {
    for (uint32_t i = 0; i < model_.config().hidden; ++i) {
      auto value = static_cast<int64_t>(random.bits(i) % (uint64_t{1} << kCallBits));
      value -= int64_t{1} << (kCallBits - 1);
      sums.push_back(value * static_cast<int64_t>(count));
    }
  }
  pack_sums(sums, &packed);
  return packed;
}

}  // namespace potluck::sim
