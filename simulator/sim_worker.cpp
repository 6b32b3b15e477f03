#include "simulator/sim_worker.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/inline_reader.h"
#include "engine/base/limits.h"
#include "engine/base/simulated_disk.h"
#include "engine/experts/grain_index.h"
#include "worker/fetch_sources.h"

namespace potluck::sim {
namespace {

const char* const kStore = "/store";
// Messages in a turn: what one coordinator and all other workers may be asked for at once, a part
// that is served, reports and answers.
constexpr uint64_t kMostWorkerTurn = 64 + FetchSources::kWindowGrains * (1 + limits::kWorkers);
// Kept of the notices.
constexpr size_t kMostNotices = 2000;
// As libzmq is told to try again in protocol/zmq_socket.cpp.
constexpr Duration kFirstReconnect = std::chrono::milliseconds(100);
constexpr Duration kLongestReconnect = std::chrono::milliseconds(500);

}  // namespace

SimWorker::SimWorker(SimWorkerOptions options, const KernelTable& kernels, const ManualClock& clock,
                     SimNetwork& network, LetsIn lets_in)
    : options_(std::move(options)),
      kernels_(kernels),
      clock_(clock),
      device_clock_(clock),
      body_(options_.battery, clock),
      network_(network),
      lets_in_(std::move(lets_in)),
      random_(options_.seed),
      progress_(options_.name),
      traffic_(options_.name, kMostWorkerTurn) {}

bool SimWorker::start(const PoolAddress& address) {
  CHECK(!running());
  auto store = GrainStore::open(disk_, kStore, options_.disk_bytes,
                                {&device_clock_, options_.writes_per_day});
  if (!store) return false;
  network_.attach(key());
  frozen_until_ = TimePoint{0};
  coordinators_ = {address.coordinator};
  store_ = std::move(*store);
  manifests_ = std::make_unique<ManifestStore>(disk_, kStore);
  WorkerOptions options;
  options.name = options_.name;
  options.software = "simulated";
  options.ram_bytes = options_.ram_bytes;
  options.disk_bytes = options_.disk_bytes;
  options.serve_rate = options_.serve_rate;
  options.model = options_.model;
  options.processor = SimulatedProcessor(1, options_.call_time, &slower_);
  if (options_.disk_rate > 0) options.open_reader = [this] { return open_disk(); };
  if (options_.speed) options.meter = &meter_.emplace(*options_.speed);
  core_ = std::make_unique<WorkerCore>(options, *store_, kernels_, threads_, device_clock_,
                                       manifests_.get());
  Transport& transport = *this;
  WorkerLinks& links = *this;
  loop_ = std::make_unique<WorkerLoop>(*core_, transport, links, device_clock_,
                                       [this](const Notice& notice) { note(notice); });
  if (options_.limits) {
    HealthOptions health;
    health.limits = *options_.limits;
    health_.emplace(health, body_, device_clock_);
  }
  if (!first_started_) first_started_ = counted_at_ = clock_.now();
  condition_ = {};
  PoolAddress own = address;
  if (options_.serves) own.serve_endpoint = "tcp://127.0.0.1:7100";  // the network goes by keys
  core_->add_pool(own);
  turn();
  return true;
}

std::unique_ptr<BlockReader> SimWorker::open_disk() {
  SimulatedDisk::Character character;
  character.slower = &disk_slower_;
  uint64_t rate = options_.disk_rate;
  if (const StorageProfile* storage = options_.storage) character.per_request = storage->overhead();
  return std::make_unique<SimulatedDisk>(
      std::make_unique<InlineBlockReader>(device_clock_), rate, device_clock_,
      [this](TimePoint until) { device_clock_.wait_until(until); }, character);
}

// Phones slow their flash down at about the temperature at which they stop charging.
void SimWorker::warm_to(int32_t celsius) {
  constexpr int32_t kHot = 42;
  body_.heat(celsius);
  const bool slow = celsius >= kHot && options_.storage != nullptr;
  disk_slower_ = slow ? 1 / options_.storage->hot : 1;
}

void SimWorker::watch_health() {
  if (!health_) return;
  const WriteLedger& writes = store_->writes();
  const auto told = health_->look(
      {core_->resident_bytes(), writes.total(), writes.today(), writes.most_per_day()});
  if (!told) return;
  count_time();
  if (told->share == 0 && condition_.share > 0) ++day_.pauses;
  condition_ = *told;
  core_->set_health(*told);
}

// Until now it was as it is.
void SimWorker::count_time() {
  const Duration past = clock_.now() - std::exchange(counted_at_, clock_.now());
  day_.since_start += past;
  if (running() && condition_.share > 0 && clock_.now() >= frozen_until_) day_.lent += past;
}

DeviceDay SimWorker::day() const {
  DeviceDay day = day_;
  const Duration past = clock_.now() - counted_at_;
  day.since_start += past;
  day.lowest_battery = body_.lowest_percent();
  if (!running()) return day;
  if (condition_.share > 0) day.lent += past;
  for (const MembershipStatus& pool : core_->status()) {
    day.computed += Duration(static_cast<Duration::rep>(pool.work.compute + pool.work.disk));
    day.units += pool.units_computed;
  }
  day.written_bytes = std::max(day.written_bytes, store_->writes().total());
  return day;
}

void SimWorker::join(const PoolAddress& address) {
  if (!running()) return;
  coordinators_.insert(address.coordinator);
  core_->add_pool(address);
  turn();
}

void SimWorker::leave_gently() {
  if (!running()) return;
  loop_->leave_gently();
  turn();
}

void SimWorker::kill(bool quietly) {
  if (!running()) return;
  count_time();
  day_ = day();
  day_.since_start -= clock_.now() - counted_at_;
  health_.reset();
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

void SimWorker::sleep(Duration duration) {
  freeze(clock_.now() + duration);
  device_clock_.stand_still(duration);
}

// The store's index is read as its next start would read it.
bool SimWorker::flip_bit(uint64_t which) {
  const std::string index_path = std::string(kStore) + "/index";
  if (!disk_.exists(index_path)) return false;
  GrainRecords records;
  std::vector<LogEvent> ignored;
  auto index = GrainIndex::open(disk_, index_path, &records, &ignored);
  std::vector<Digest> grains;
  for (const auto& [digest, record] : records) grains.push_back(digest);
  if (!index || grains.empty()) return false;
  std::sort(grains.begin(), grains.end());
  const PageRun& run = records.at(grains[which % grains.size()]).run;
  disk_.flip_bit(fmt::format("{}/segments/{:06}.grains", kStore, run.segment),
                 run.offset() + which % 1000);
  return true;
}

void SimWorker::deliver(NetworkMessage sent) {
  if (!running()) return;
  bool from_worker = !coordinators_.contains(sent.from);
  Channel channel = sent.channel;
  if (from_worker && channel == Channel::kBulk) {  // the other side of its channel
    if (silent_ || !admits(sent.from)) return;
    channel = Channel::kServe;
  } else if (from_worker) {
    channel = Channel::kBulk;
  }
  inbox_.push_back({sent.from, channel, std::move(sent.frames)});
  turn_while_it_hears();
}

// What comes while its processor waits for the disk is heard afterwards.
void SimWorker::turn_while_it_hears() {
  while (running() && !inbox_.empty() && !device_clock_.busy()) turn();
}

std::optional<TimePoint> SimWorker::next_wake() const {
  if (!running()) return std::nullopt;
  TimePoint wanted = inbox_.empty() ? wake_at_ : std::min(wake_at_, device_clock_.busy_until());
  return std::max({wanted, frozen_until_, device_clock_.busy_until()});
}

void SimWorker::wake() {
  if (device_clock_.busy()) return;
  turn();
  turn_while_it_hears();
}

// What the process does when its wait ends. The loop is told to wait no more: this is the end of
// its wait already, at or after the moment it waited for.
void SimWorker::turn() {
  run_turn();
  TimePoint now = device_clock_.at_base();
  TimePoint due = device_clock_.to_base(loop_->next_due());
  if (due <= now) {
    // One that spins must not stop the clock.
    wake_at_ = now + (progress_.spins() ? kFirstReconnect : Duration(0));
  } else {
    TimePoint latest = now + loop_->longest_wait();
    wake_at_ = std::min(std::min(due, latest) + draw_lateness(), latest);
  }
}

void SimWorker::run_turn() {
  bool moved = !inbox_.empty() || device_clock_.at_base() > last_turn_;
  last_turn_ = device_clock_.at_base();
  watch_health();
  begin_record();
  loop_->turn(Duration::zero());
  end_record();
  traffic_.end_turn();
  progress_.after_turn(moved, loop_->next_due(), core_->pools() == 0);
  check_budgets();
}

void SimWorker::begin_record() {
  const TurnObserver& observer = options_.observer;
  if (inbox_.empty() || !observer.wants || !observer.wants(inbox_.front().peer)) return;
  Result<Message> message = decode_header(inbox_.front().frames.header);
  if (!message) return;
  TurnRecord& record = record_.emplace();
  record.from = inbox_.front().peer;
  record.channel = inbox_.front().channel;
  record.message = std::move(*message);
  record.at_worker = true;
  record.worker_before = known_of(record.from);
}

void SimWorker::end_record() {
  if (!record_) return;
  record_->worker_after = known_of(record_->from);
  options_.observer.turned(*record_);
  record_.reset();
}

TurnRecord::Worker SimWorker::known_of(const PeerKey& sender) const {
  TurnRecord::Worker known;
  for (const MembershipStatus& membership : core_->status()) {
    known.bytes_fetched += membership.bytes_fetched;
    if (membership.coordinator == sender) known.membership = membership;
  }
  return known;
}

void SimWorker::note(const Notice& notice) {
  if (record_) record_->notices.push_back(notice.text);
  auto& kept = notice.fatal ? fatal_notices_ : notices_;
  if (kept.size() == kMostNotices) kept.erase(kept.begin(), kept.begin() + kMostNotices / 2);
  kept.push_back(notice.text);
}

void SimWorker::admit(const std::set<PeerKey>& peers) {
  admitted_ = peers;
  if (record_) record_->admitted = true;
}

std::vector<std::string> SimWorker::violations() const {
  std::vector<std::string> all = violations_;
  for (const auto* more : {&progress_.violations(), &traffic_.violations()}) {
    all.insert(all.end(), more->begin(), more->end());
  }
  return all;
}

// What the process may not keep, and what it leaves behind after its turn.
void SimWorker::check_budgets() {
  if (!violations_.empty()) return;
  if (core_->resident_bytes() > options_.ram_bytes) {
    violations_.push_back(name() + " keeps more experts in memory than it may");
  }
  if (store_->charged_bytes() > options_.disk_bytes) {
    violations_.push_back(name() + " keeps more on its disk than it may");
  }
  if (!core_->take_actions().empty()) {
    violations_.push_back(name() + " leaves actions behind that were not performed");
  }
  Status valid = options_.validate ? core_->validate() : Status();
  if (!valid) violations_.push_back(name() + ": " + valid.error().message);
}

// An operating system never wakes a process early, and sometimes much too late.
Duration SimWorker::draw_lateness() {
  uint64_t draw = random_.bits(++wakes_);
  if (draw % 4 == 0) return Duration::zero();
  uint64_t most = draw % 64 == 1 ? 300'000 : 2'000;
  return std::chrono::microseconds((draw >> 8) % most);
}

MembershipStatus SimWorker::status() const {
  auto all = memberships();
  return all.empty() ? MembershipStatus{} : all.front();
}

std::vector<MembershipStatus> SimWorker::memberships() const {
  return running() ? core_->status() : std::vector<MembershipStatus>{};
}

bool SimWorker::belongs_to(const PeerKey& coordinator) const {
  auto all = memberships();
  return std::any_of(all.begin(), all.end(), [&](const MembershipStatus& membership) {
    return membership.coordinator == coordinator;
  });
}

Status SimWorker::send(const PeerKey& peer, Channel channel, Frames frames) {
  traffic_.sent(peer, clock_.now(), false, frames.bytes());
  if (record_) {
    Result<Message> message = decode_header(frames.header);
    if (message) record_->sent.push_back({peer, channel, std::move(*message)});
  }
  return network_.send(key(), peer, channel, std::move(frames),
                       device_clock_.at_base() - clock_.now());
}

std::optional<Envelope> SimWorker::receive(Duration) {
  if (inbox_.empty()) return std::nullopt;
  Envelope envelope = std::move(inbox_.front());
  inbox_.pop_front();
  return envelope;
}

Status SimWorker::connect(const PeerKey& peer, Channel channel, const std::string& endpoint) {
  network_.disconnect(key(), peer, channel);
  links_[{peer, channel}] = {endpoint, false, false, 0, {}};
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
  if (link.made) link = {link.endpoint, false, false, 0, clock_.now() + kFirstReconnect};
  if (clock_.now() < link.not_before) return LinkState::kConnecting;
  bool away = network_.severed(key(), peer) || network_.is_cut(key(), peer);
  if (away || !network_.listens_at(peer, link.endpoint)) {
    Duration pause = kFirstReconnect * (int64_t{1} << std::min(link.tries++, 5u));
    link.not_before = clock_.now() + std::min(pause, kLongestReconnect);
    return LinkState::kConnecting;
  }
  if (!coordinators_.contains(peer) && !lets_in_(peer, key())) {
    link.refused = true;
    return LinkState::kRefused;
  }
  network_.connect(key(), peer, channel);
  link.made = true;
  return LinkState::kConnected;
}

}  // namespace potluck::sim
