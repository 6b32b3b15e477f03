#include "simulator/slow_peer.h"

#include "protocol/codec.h"

namespace potluck::sim {
namespace {

constexpr Duration kSlowly = std::chrono::milliseconds(700);
constexpr uint64_t kGreetsEvery = 40;

}  // namespace

SlowPeer::SlowPeer(const PeerKey& key, const PeerKey& coordinator, const PoolModel& model,
                   const ManualClock& clock, SimNetwork& network)
    : key_(key),
      coordinator_(coordinator),
      kernels_(kernel_self_test(model.kernels())),
      clock_(clock),
      network_(network),
      next_act_(clock.now()) {
  network_.attach(key_);
}

void SlowPeer::end() {
  next_act_ = TimePoint::max();
  network_.detach(key_, false);
}

void SlowPeer::send(Channel channel, const Message& message) {
  if (!network_.listening(coordinator_)) return;
  network_.connect(key_, coordinator_, channel);
  (void)network_.send(key_, coordinator_, channel, {encode_header(message), {}});
}

void SlowPeer::act() {
  next_act_ = clock_.now() + kSlowly;
  if (epoch_ == 0 || ++acts_ % kGreetsEvery == 0) {
    send(Channel::kCompute, Hello{kProtocolVersion, kArithmeticVersion, kernels_, "slow peer",
                                  "simulated", kGiB, kGiB, ""});
    return;
  }
  send(Channel::kCompute, Heartbeat{epoch_, acts_, true});
  send(Channel::kBulk, FetchManifest{manifest_, offset_++, 1});
}

void SlowPeer::hear(const NetworkMessage& sent) {
  Result<Message> message = decode_header(sent.frames.header);
  if (!message) return;
  if (const auto* welcome = std::get_if<Welcome>(&*message)) {
    epoch_ = welcome->epoch;
    manifest_ = welcome->manifest;
  } else if (const auto* assignment = std::get_if<Assignment>(&*message)) {
    send(Channel::kCompute, Residency{epoch_, assignment->version, assignment->units, {}});
  }
}

}  // namespace potluck::sim
