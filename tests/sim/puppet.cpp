#include "tests/sim/puppet.h"

#include <algorithm>

namespace potluck::sim {
namespace {

using std::chrono::microseconds;

constexpr uint64_t kBursts[] = {1, 1, 1, 1, 1, 3, 10, 100, 1000};
constexpr int64_t kPauseMicroseconds[] = {0, 100, 1000, 10'000, 100'000, 600'000};
constexpr size_t kQuestions = 64;
constexpr Duration kAnswerTime = std::chrono::milliseconds(1);
// What each side has to say in earnest; what counts more is there more often.
constexpr size_t kMemberSays[] = {
    kind_of<Hello>(),        kind_of<Residency>(),  kind_of<Residency>(), kind_of<Partial>(),
    kind_of<Partial>(),      kind_of<Heartbeat>(),  kind_of<Heartbeat>(), kind_of<SourceReport>(),
    kind_of<HealthReport>(), kind_of<DeviceSpeed>()};
constexpr size_t kMemberAsks[] = {kind_of<FetchManifest>(), kind_of<FetchGrain>(),
                                  kind_of<FetchGrain>(), kind_of<FetchGrain>()};
// What does not end the part it plays.
constexpr size_t kEarnestMemberSays[] = {kind_of<Residency>(), kind_of<Heartbeat>(),
                                         kind_of<SourceReport>(), kind_of<HealthReport>(),
                                         kind_of<DeviceSpeed>()};
constexpr size_t kEarnestCoordinatorSays[] = {kind_of<Compute>(), kind_of<Compute>(),
                                              kind_of<Heartbeat>(), kind_of<Roster>()};
constexpr size_t kServes[] = {kind_of<BulkData>()};
constexpr size_t kCoordinatorSays[] = {
    kind_of<Welcome>(), kind_of<Assignment>(), kind_of<Assignment>(), kind_of<Compute>(),
    kind_of<Compute>(), kind_of<Compute>(),    kind_of<Heartbeat>(),  kind_of<Roster>()};
constexpr size_t kAccepts[] = {kind_of<JoinAccept>()};

}  // namespace

Puppet::Puppet(PuppetOptions options, MessageGenerator generator, const ManualClock& clock,
               SimNetwork& network)
    : options_(std::move(options)),
      generator_(std::move(generator)),
      clock_(clock),
      network_(network),
      next_act_(clock.now() + microseconds(generator_.pick(200'000))) {
  if (options_.role != PuppetRole::kParasite) network_.attach(options_.key);
}

void Puppet::hear(const NetworkMessage& sent) {
  generator_.hear(sent.frames);
  if (!options_.earnest || done()) return;
  Result<Message> message = decode_header(sent.frames.header);
  if (!message) return;
  bool again = std::holds_alternative<Hello>(*message) || std::holds_alternative<Refusal>(*message);
  if (const auto* beat = std::get_if<Heartbeat>(&*message)) again = again || beat->epoch == 0;
  if (again) greeted_ = assigned_ = false;
  if (std::holds_alternative<Assignment>(*message)) assigned_ = false;
  // Now, or soon, it knows what the units are about.
  if (std::holds_alternative<FetchManifest>(*message)) assigned_ = false;
  questions_.push_back(sent);
  if (questions_.size() > kQuestions) questions_.pop_front();
  next_act_ = std::min(next_act_, clock_.now() + kAnswerTime);
}

void Puppet::act() {
  if (options_.between && generator_.one_in(8)) options_.between();
  uint64_t burst = kBursts[generator_.pick(std::size(kBursts))];
  if (burst > options_.messages / 4) burst = 1;  // not all that it has to say at once
  flood_.reset();
  if (burst > 1 && generator_.one_in(3)) flood_ = generator_.pick(kMessageKinds);
  options_.messages -= burst;
  while (answer_oldest()) {
  }
  for (uint64_t i = 0; i < burst; ++i) say();
  int64_t pause = kPauseMicroseconds[generator_.pick(std::size(kPauseMicroseconds))];
  auto drawn = generator_.pick(1 + 2 * static_cast<uint64_t>(pause));
  next_act_ = clock_.now() + microseconds(1 + drawn);
  if (options_.messages == 0) end();
}

void Puppet::go_on(uint64_t messages) {
  options_.messages = messages;
  next_act_ = clock_.now();
  if (options_.role != PuppetRole::kParasite && !network_.listening(options_.key)) {
    network_.attach(options_.key);
  }
}

void Puppet::forget() {
  generator_.forget();
  questions_ = {};
}

// It falls silent, with or without its connections being seen to end.
void Puppet::end() {
  next_act_ = TimePoint::max();
  if (options_.role != PuppetRole::kParasite) {
    network_.detach(options_.key, generator_.one_in(2));
  }
}

void Puppet::say() {
  if (options_.role == PuppetRole::kCoordinator) {
    say_as_coordinator();
  } else if (options_.role == PuppetRole::kStranger) {
    bool usual = !flood_ && !generator_.one_in(3);
    size_t any_kind = flood_ ? *flood_ : generator_.pick(kMessageKinds);
    send(options_.coordinator, Channel::kJoin,
         generator_.make(usual ? kind_of<JoinRequest>() : any_kind));
  } else if (!options_.workers.empty() && generator_.one_in(4)) {
    say_to_worker();
  } else {
    say_to_pool();
  }
}

// False if there is none.
bool Puppet::answer_oldest() {
  if (questions_.empty()) return false;
  NetworkMessage asked = std::move(questions_.front());
  questions_.pop_front();
  std::optional<Said> said = generator_.answer_to(asked.frames);
  bool from_peer = asked.channel == Channel::kBulk && options_.role == PuppetRole::kMember &&
                   asked.from != options_.coordinator;
  if (said) send(asked.from, from_peer ? Channel::kServe : asked.channel, std::move(*said));
  return true;
}

// What an honest one would say now, on the compute channel; nothing if anything will do.
std::optional<Said> Puppet::next_in_earnest() {
  bool coordinator = options_.role == PuppetRole::kCoordinator;
  if (!std::exchange(greeted_, true)) {
    return generator_.make(coordinator ? kind_of<Welcome>() : kind_of<Hello>());
  }
  if (!std::exchange(assigned_, true)) {
    return coordinator ? generator_.make(kind_of<Assignment>()) : generator_.all_ready();
  }
  return std::nullopt;
}

// Mostly what is usual; every kind now and then.
Said Puppet::any(std::span<const size_t> usual) {
  if (flood_) return generator_.make(*flood_);
  uint64_t odd = options_.earnest ? 60 : 6;
  if (generator_.one_in(odd)) return generator_.make(generator_.pick(kMessageKinds));
  if (generator_.one_in(3)) return generator_.answer();
  return generator_.make(usual[generator_.pick(usual.size())]);
}

void Puppet::say_to_pool() {
  uint64_t draw = generator_.pick(20);
  if (draw == 0) {
    send(options_.coordinator, Channel::kJoin, generator_.make(generator_.pick(kMessageKinds)));
  } else if (draw < 6) {
    send(options_.coordinator, Channel::kBulk, any(kMemberAsks));
  } else {
    std::optional<Said> earnest = options_.earnest ? next_in_earnest() : std::nullopt;
    send(options_.coordinator, Channel::kCompute,
         earnest
             ? *earnest
             : any(options_.earnest ? std::span<const size_t>(kEarnestMemberSays) : kMemberSays));
  }
}

// It asks for grains, or answers as one that was asked.
void Puppet::say_to_worker() {
  const PeerKey& worker = options_.workers[generator_.pick(options_.workers.size())];
  if (generator_.one_in(2)) {
    send(worker, Channel::kBulk, any(kMemberAsks));
  } else {
    send(worker, Channel::kServe, any(kServes));
  }
}

void Puppet::say_as_coordinator() {
  const PeerKey& worker = options_.workers[generator_.pick(options_.workers.size())];
  uint64_t draw = generator_.pick(20);
  if (draw == 0) {
    send(worker, Channel::kJoin, any(kAccepts));
  } else if (draw < 8) {
    send(worker, Channel::kBulk, any(kServes));
  } else {
    std::optional<Said> earnest = options_.earnest ? next_in_earnest() : std::nullopt;
    send(worker, Channel::kCompute,
         earnest ? *earnest
                 : any(options_.earnest ? std::span<const size_t>(kEarnestCoordinatorSays)
                                        : kCoordinatorSays));
  }
}

void Puppet::send(const PeerKey& to, Channel channel, Said said) {
  bool connects = options_.role != PuppetRole::kCoordinator && channel != Channel::kServe;
  if (connects && network_.listening(to)) network_.connect(options_.key, to, channel);
  Frames frames{encode_header(said.message), std::move(said.tensor)};
  if (network_.send(options_.key, to, channel, std::move(frames))) ++sent_;
}

}  // namespace potluck::sim
