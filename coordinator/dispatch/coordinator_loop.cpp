#include "coordinator/dispatch/coordinator_loop.h"

#include <algorithm>

namespace potluck {
namespace {

// Bulk parts sent per turn: enough to keep a link busy, few enough that a compute message waits for
// one turn only.
constexpr size_t kBulkPartsPerTurn = 4;

}  // namespace

CoordinatorLoop::CoordinatorLoop(CoordinatorCore& core, Transport& transport, const Clock& clock,
                                 CoordinatorLoopObserver observer)
    : core_(core),
      transport_(transport),
      clock_(clock),
      observer_(std::move(observer)),
      looked_at_(clock.now()) {}

bool CoordinatorLoop::turn(Duration longest) {
  // What was caused between two turns leaves before this one waits.
  size_t moved = send_outgoing(0);
  TimePoint due = core_.next_tick();
  TimePoint until = std::min(due, core_.next_bulk().value_or(TimePoint::max()));
  Duration wait = std::min({until - clock_.now(), longest, kLongestWait});
  std::optional<Envelope> envelope = transport_.receive(std::max(wait, Duration::zero()));
  // receive() waits for kLongestWait at most: a much longer gap means that the process did not run,
  // and not that its peers were silent.
  TimePoint now = clock_.now();
  if (now - looked_at_ >= kAway) core_.excuse_silence();
  looked_at_ = now;
  moved += handle(std::move(envelope));
  // The awaited moment has passed, even if the core would now name a later one. After the messages:
  // one that has arrived in time must not be judged as missing.
  now = clock_.now();
  if (now >= due || now >= core_.next_tick()) core_.on_tick();
  moved += send_outgoing(kBulkPartsPerTurn);
  report_notices();
  if (observer_.turned) observer_.turned();
  return moved > 0;
}

size_t CoordinatorLoop::handle(std::optional<Envelope> envelope) {
  // Bounded in number and in time: some messages cost microseconds, a greeting may cost a
  // placement.
  TimePoint end = clock_.now() + kHandlingPerTurn;
  size_t handled = 0;
  while (envelope) {
    core_.on_frames(*envelope);
    if (++handled == kMessagesPerTurn || clock_.now() >= end) break;
    envelope = transport_.receive(Duration::zero());
  }
  return handled;
}

void CoordinatorLoop::send() {
  send_outgoing(0);
}

size_t CoordinatorLoop::send_outgoing(size_t bulk_parts) {
  std::vector<OutgoingMessage> messages = core_.take_outgoing(bulk_parts);
  // The rest of what was for them on this channel is void. On the join channel they may just be
  // asking where it is.
  std::vector<PeerKey> gone;
  for (OutgoingMessage& outgoing : messages) {
    bool void_now = outgoing.channel == Channel::kCompute &&
                    std::ranges::find(gone, outgoing.peer) != gone.end();
    if (void_now) continue;
    auto* accept = std::get_if<JoinAccept>(&outgoing.message);
    if (accept != nullptr && observer_.accepting) observer_.accepting(outgoing.peer, accept);
    Frames frames{encode_header(outgoing.message), std::move(outgoing.tensor)};
    Status sent = transport_.send(outgoing.peer, outgoing.channel, std::move(frames));
    // Also when its queue is full: a worker that leaves hundreds of messages unread is of no use,
    // and waiting for it would hold up the others. A join reply that fails is asked for again.
    if (!sent && outgoing.channel == Channel::kCompute) {
      gone.push_back(outgoing.peer);
      core_.on_unreachable(outgoing.peer, sent.error().message);
    }
    if (!sent && outgoing.channel == Channel::kBulk) {
      core_.on_bulk_not_sent(outgoing, sent.error().code != ErrorCode::kLimit);
    }
  }
  return messages.size();
}

TimePoint CoordinatorLoop::next_due() const {
  return std::min(core_.next_tick(), core_.next_bulk().value_or(TimePoint::max()));
}

void CoordinatorLoop::report_notices() {
  for (const LogEvent& event : core_.take_notices()) {
    if (observer_.notice) observer_.notice(event);
  }
}

}  // namespace potluck
