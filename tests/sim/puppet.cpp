#include "tests/sim/puppet.h"

#include <algorithm>

namespace potluck::sim {
namespace {

using std::chrono::microseconds;

constexpr uint64_t kBursts[] = {1, 1, 1, 3, 10, 100};
constexpr int64_t kPauseMicroseconds[] = {0, 100, 1000, 10'000, 100'000, 600'000};
// Places in Message of what each side has to say in earnest.
constexpr size_t kMemberSays[] = {0, 4, 4, 6, 6, 7, 7, 15};
constexpr size_t kMemberAsks[] = {9, 10, 10, 10};
constexpr size_t kCoordinatorSays[] = {1, 3, 3, 5, 5, 5, 7, 14};

}  // namespace

Puppet::Puppet(PuppetOptions options, MessageGenerator generator, const ManualClock& clock,
               SimNetwork& network, KindCounts* counts)
    : options_(std::move(options)),
      generator_(std::move(generator)),
      clock_(clock),
      network_(network),
      counts_(counts),
      next_act_(clock.now() + microseconds(generator_.pick(200'000))) {
  if (options_.role != PuppetRole::kParasite) network_.attach(options_.key);
}

void Puppet::hear(const Delivery& delivery) {
  if (auto message = decode_header(delivery.frames.header)) generator_.hear(*message);
}

void Puppet::act() {
  if (options_.between && generator_.one_in(8)) options_.between();
  uint64_t burst = kBursts[generator_.pick(std::size(kBursts))];
  for (uint64_t i = 0; i < burst && options_.messages > 0; ++i) {
    --options_.messages;
    say();
  }
  next_act_ =
      clock_.now() +
      microseconds(1 +
                   generator_.pick(
                       1 + 2 * kPauseMicroseconds[generator_.pick(std::size(kPauseMicroseconds))]));
  if (options_.messages == 0) end();
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
    send(options_.coordinator, Channel::kJoin,
         generator_.make(generator_.one_in(3) ? generator_.pick(kMessageKinds) : 12));
  } else if (!options_.workers.empty() && generator_.one_in(4)) {
    say_to_worker();
  } else {
    say_to_pool();
  }
}

// Mostly what is usual; every kind now and then.
Said Puppet::any(std::span<const size_t> usual) {
  if (generator_.one_in(6)) return generator_.make(generator_.pick(kMessageKinds));
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
    send(options_.coordinator, Channel::kCompute, any(kMemberSays));
  }
}

// It asks for grains, or answers as one that was asked.
void Puppet::say_to_worker() {
  const PeerKey& worker = options_.workers[generator_.pick(options_.workers.size())];
  if (generator_.one_in(2)) {
    send(worker, Channel::kBulk, any(kMemberAsks));
  } else {
    constexpr size_t kServes[] = {11};
    send(worker, Channel::kServe, any(kServes));
  }
}

void Puppet::say_as_coordinator() {
  const PeerKey& worker = options_.workers[generator_.pick(options_.workers.size())];
  uint64_t draw = generator_.pick(20);
  constexpr size_t kServes[] = {11};
  constexpr size_t kAccepts[] = {13};
  if (draw == 0) {
    send(worker, Channel::kJoin, any(kAccepts));
  } else if (draw < 8) {
    send(worker, Channel::kBulk, any(kServes));
  } else {
    send(worker, Channel::kCompute, any(kCoordinatorSays));
  }
}

void Puppet::send(const PeerKey& to, Channel channel, Said said) {
  bool pool = to == options_.coordinator && options_.role != PuppetRole::kCoordinator;
  bool connects =
      channel == Channel::kBulk || channel == Channel::kCompute || channel == Channel::kJoin;
  if ((pool || options_.role == PuppetRole::kMember || options_.role == PuppetRole::kParasite) &&
      connects && network_.listening(to)) {
    network_.connect(options_.key, to, channel);
  }
  size_t kind = said.message.index();
  Frames frames{encode_header(said.message), std::move(said.tensor)};
  if (network_.send(options_.key, to, channel, std::move(frames))) ++(*counts_)[kind];
}

}  // namespace potluck::sim
