#include "worker/worker_loop.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "protocol/codec.h"

namespace potluck {
namespace {

constexpr Duration kLongestWait = std::chrono::milliseconds(100);
// A connection attempt does not report completion: it is polled this often, for this long.
constexpr Duration kConnectingWait = std::chrono::milliseconds(5);
constexpr Duration kConnectingTime = std::chrono::seconds(3);
// A peer that sends nonsense is reported, not quoted endlessly.
constexpr uint32_t kNonsenseNotices = 5;

}  // namespace

WorkerLoop::WorkerLoop(WorkerCore& core, Transport& transport, WorkerLinks& links,
                       const Clock& clock, Observer observer)
    : core_(core),
      transport_(transport),
      links_(links),
      clock_(clock),
      observer_(std::move(observer)),
      listened_at_(clock.now()) {}

void WorkerLoop::turn(Duration longest) {
  perform_actions();  // pools were added, perhaps
  TimePoint due = next_due();
  Duration wait = std::min(due - clock_.now(), std::min(longest, longest_wait()));
  std::optional<Envelope> envelope = transport_.receive(std::max(wait, Duration::zero()));
  TimePoint listened_before = std::exchange(listened_at_, clock_.now());
  if (listened_at_ - listened_before >= kAway) core_.excuse_silence();
  // While messages come there is no news of connections worth a system call for each of them. But
  // while one is being made, the core has to hear of it before the first message that comes over
  // it.
  bool look = !envelope || connecting_ || clock_.now() - looked_at_ >= kLongestWait;
  if (look) watch_links();
  if (envelope) deliver(std::move(*envelope));
  // The awaited moment has passed, even if the core would now name a later one.
  TimePoint now = clock_.now();
  if (now >= due || now >= next_due()) core_.on_tick();
  perform_actions();
}

void WorkerLoop::leave() {
  core_.leave_all();
  perform_actions();
}

void WorkerLoop::leave_gently() {
  core_.leave_gently();
  perform_actions();
}

TimePoint WorkerLoop::next_due() const {
  return core_.next_tick();
}

Duration WorkerLoop::longest_wait() const {
  bool fresh = connecting_ && clock_.now() - connecting_since_ < kConnectingTime;
  return fresh ? kConnectingWait : kLongestWait;
}

void WorkerLoop::deliver(Envelope envelope) {
  Result<Message> message = decode_header(envelope.frames.header);
  if (message) {
    core_.on_message(envelope.peer, envelope.channel, std::move(*message),
                     std::move(envelope.frames.tensor));
  } else if (++nonsense_ <= kNonsenseNotices) {
    const std::string& reason = message.error().message;
    perform(Notice{
        envelope.peer, "dropped a message: " + reason, LogLevel::kWarning, {{"reason", reason}}});
  }
}

// Tells the core about connections that were made, lost or refused since the last look.
void WorkerLoop::watch_links() {
  looked_at_ = clock_.now();
  bool connecting = false;
  for (auto& [key, link] : known_links_) {
    const auto& [peer, channel] = key;
    LinkState state = links_.state(peer, channel);
    connecting = connecting || state == LinkState::kConnecting;
    if (state == link.state) continue;
    link.state = state;
    if (state == LinkState::kConnected) core_.on_connected(peer, channel);
    if (state == LinkState::kRefused) core_.on_refused(peer, channel);
    // Another worker may owe us an answer. A coordinator is greeted at once when it is back,
    // instead of after the next beat; what is lost on its other channels is asked for again.
    bool lost =
        state == LinkState::kConnecting && (!link.coordinator || channel == Channel::kCompute);
    if (lost) core_.on_unreachable(peer);
  }
  if (connecting && !connecting_) connecting_since_ = clock_.now();
  connecting_ = connecting;
}

void WorkerLoop::watch(const PeerKey& peer, Channel channel, bool coordinator) {
  known_links_[{peer, channel}] = {LinkState::kConnecting, coordinator};
  connecting_ = true;
  connecting_since_ = clock_.now();
}

// Performing an action may lead to further ones: a message that cannot be sent.
void WorkerLoop::perform_actions() {
  for (auto actions = core_.take_actions(); !actions.empty(); actions = core_.take_actions()) {
    for (WorkerAction& action : actions) {
      std::visit([this](auto& what) { perform(what); }, action);
    }
  }
}

// What does not get through to a coordinator on the other channels is asked for again; another
// worker is not asked as long as it cannot be reached.
void WorkerLoop::perform(SendMessage& message) {
  Frames frames{encode_header(message.message), std::move(message.tensor)};
  Status sent = transport_.send(message.peer, message.channel, std::move(frames));
  if (sent) return;
  auto link = known_links_.find({message.peer, message.channel});
  bool to_worker = message.channel == Channel::kBulk &&
                   (link == known_links_.end() || !link->second.coordinator);
  if (message.channel == Channel::kCompute || to_worker) core_.on_unreachable(message.peer);
  if (message.channel == Channel::kServe) {
    core_.on_not_served(sent.error().code != ErrorCode::kLimit);
  }
}

void WorkerLoop::perform(const ConnectChannel& connection) {
  const PeerKey& key = connection.coordinator;
  // Once the endpoints are known, the join channel is of no use, and places there are few.
  if (connection.channel != Channel::kJoin) {
    links_.disconnect(key, Channel::kJoin);
    known_links_.erase({key, Channel::kJoin});
  }
  Status connected = links_.connect(key, connection.channel, connection.endpoint);
  if (!connected) {
    perform(Notice{
        key, connected.error().message, LogLevel::kWarning, {{"endpoint", connection.endpoint}}});
  }
  watch(key, connection.channel, true);
}

void WorkerLoop::perform(const DisconnectPeer& gone) {
  links_.disconnect(gone.peer);
  std::erase_if(known_links_, [&](const auto& link) { return link.first.first == gone.peer; });
}

void WorkerLoop::perform(const DisconnectChannel& gone) {
  links_.disconnect(gone.coordinator, gone.channel);
  known_links_.erase({gone.coordinator, gone.channel});
}

void WorkerLoop::perform(const ConnectPeer& connection) {
  if (links_.connect(connection.peer, Channel::kBulk, connection.endpoint)) {
    watch(connection.peer, Channel::kBulk, false);
  } else {
    core_.on_unreachable(connection.peer);
  }
}

void WorkerLoop::perform(const RememberPool& reached) {
  links_.remember(reached.pool);
}

void WorkerLoop::perform(const AdmitPeers& admitted) {
  links_.admit(admitted.peers);
}

void WorkerLoop::perform(const Notice& notice) {
  if (observer_) observer_(notice);
}

}  // namespace potluck
