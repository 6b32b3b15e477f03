// How a session comes to be a member and stays one: joining, greeting, heartbeats, refusals.
#include <algorithm>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "worker/pool_session.h"

namespace potluck {
namespace {

constexpr Duration kRetry = std::chrono::seconds(1);
// When to tell the user that the coordinator does not answer, and when to repeat it.
constexpr Duration kTellAfter = std::chrono::seconds(5);
constexpr Duration kTellAtLeast = std::chrono::seconds(60);
// A connection that was refused in the handshake is not tried again by itself.
constexpr Duration kReconnect = std::chrono::seconds(10);
// A coordinator that never welcomed us is not there, or does not know this device's key: over
// encrypted sockets the two look alike. One that welcomed us once is waited for without end.
constexpr Duration kFirstWelcome = std::chrono::seconds(30);
constexpr Duration kFirstWelcomeAfterRefusal = std::chrono::seconds(10);
// A message that met a coordinator at the wrong moment is refused; greeting again helps. Only a
// coordinator that never makes sense of us is given up.
constexpr uint32_t kProtocolRefusals = 5;
constexpr size_t kHelloNameBytes = 200;

std::string shortened(std::string name) {
  if (name.size() > kHelloNameBytes) name.resize(kHelloNameBytes);
  return name;
}

int64_t whole_seconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

}  // namespace

void PoolSession::send_join_request() {
  const Invitation& invitation = *address_.invitation;
  retry_at_ = now() + kRetry;
  send(JoinRequest{invitation.secret, shortened(context_.options.name)}, Channel::kJoin);
  tell_waiting(invitation.join_endpoint);
}

// Again and again, ever more rarely, to the person who waits: what for, and what was tried.
void PoolSession::tell_waiting(const std::string& endpoint) {
  if (now() < tell_at_) return;
  tell_at_ = now() + tell_interval_;
  tell_interval_ = std::min(2 * tell_interval_, kTellAtLeast);
  notice(fmt::format(
      "waiting for the coordinator at {}: no answer for {} s, trying again every second. Is "
      "`potluck serve` running there, is this its address now, and does its firewall let the port "
      "through?",
      endpoint, whole_seconds(now() - asking_since_)));
}

void PoolSession::start_asking() {
  asking_since_ = now();
  tell_at_ = now() + kTellAfter;
  tell_interval_ = kTellAfter;
}

void PoolSession::on_join(const Message& message) {
  if (const auto* accept = std::get_if<JoinAccept>(&message)) {
    address_.compute_endpoint = accept->compute_endpoint;
    address_.bulk_endpoint = accept->bulk_endpoint;
    go_to_endpoints();
    return;
  }
  const auto* refusal = std::get_if<Refusal>(&message);
  if (refusal != nullptr) join_refused(refusal->message);
}

// Used, expired or unknown. A coordinator that knows us from before may take us all the same.
void PoolSession::join_refused(const std::string& reason) {
  refused_join_ = "the coordinator refused the invitation: " + reason;
  if (address_.compute_endpoint.empty()) {
    end(refused_join_, false);
    return;
  }
  notice(refused_join_ + "; trying the endpoints of the last time");
  go_to_endpoints();
}

void PoolSession::go_to_endpoints() {
  phase_ = Phase::kGreeting;
  start_asking();
  retry_at_ = now();
  connect_channels();
  greet();
}

void PoolSession::connect_channels() {
  reconnect_at_ = now() + kReconnect;
  const PeerKey& key = address_.coordinator;
  context_.actions.emplace_back(ConnectChannel{key, Channel::kCompute, address_.compute_endpoint});
  context_.actions.emplace_back(ConnectChannel{key, Channel::kBulk, address_.bulk_endpoint});
}

// What is held stays held: a request of the same epoch is answered meanwhile.
void PoolSession::start_greeting() {
  if (phase_ == Phase::kGreeting) return;
  phase_ = Phase::kGreeting;
  start_asking();
  reconnect_at_ = now() + kReconnect;
  retry_at_ = std::max(retry_at_, now());
  greet();
}

void PoolSession::greet() {
  Duration waited = now() - asking_since_;
  Duration patience = refused_join_.empty() ? kFirstWelcome : kFirstWelcomeAfterRefusal;
  if (!welcome_ && waited >= patience) {
    std::string reason = fmt::format(
        "no answer from {} for {} s: no coordinator is running there, or it does not know this "
        "device's key (then ask for a new invitation)",
        address_.compute_endpoint, whole_seconds(waited));
    end(refused_join_.empty() ? reason : refused_join_ + "; " + reason, false);
    return;
  }
  if (now() >= reconnect_at_) connect_channels();
  if (now() < retry_at_) return;
  retry_at_ = now() + kRetry;
  Hello hello;
  hello.arithmetic_version = kArithmeticVersion;
  hello.kernels = context_.kernels;
  hello.name = shortened(context_.options.name);
  hello.software = shortened(context_.options.software);
  hello.ram_bytes = context_.options.ram_bytes;
  hello.disk_bytes = context_.options.disk_bytes;
  hello.bulk_endpoint = address_.serve_endpoint;
  send(std::move(hello));
  tell_waiting(address_.compute_endpoint);
}

void PoolSession::on_welcome(const Welcome& welcome) {
  if (welcome.manifest_bytes == 0 || welcome.manifest_bytes > limits::kManifestBytes) {
    welcome_ = welcome;
    end(fmt::format("wrong manifest: announced with {} bytes, expected 1 to {}",
                    welcome.manifest_bytes, limits::kManifestBytes),
        true);
    return;
  }
  // While it is decoded it is there twice.
  if (2 * welcome.manifest_bytes > context_.options.ram_bytes + kKeptBytes) {
    welcome_ = welcome;
    end(fmt::format("the model's manifest has {} bytes, too much for a worker with {} of --ram: "
                    "give it more",
                    welcome.manifest_bytes, context_.options.ram_bytes),
        true);
    return;
  }
  protocol_refusals_ = 0;
  refused_join_.clear();
  bool same_epoch = welcome_ && welcome_->epoch == welcome.epoch;
  bool same_manifest = manifest_ != nullptr && welcome_->manifest == welcome.manifest;
  welcome_ = welcome;
  any_version_ = true;
  if (!same_epoch || !same_manifest) {
    drop_work();
    units_.clear();
    version_ = 0;
    full_ = false;
    room_bytes_ = Residency::kAnyRoom;
    room_pause_ = Duration{0};
  }
  if (!same_manifest) fetcher_.clear();  // else what was begun goes on
  if (!same_epoch) on_roster({welcome.epoch, 0, {}});
  sources_changed_ = true;  // the coordinator may have forgotten
  room_changed_ = room_bytes_ != Residency::kAnyRoom;
  if (same_manifest) {
    become_member();
    return;
  }
  source_.reset();
  manifest_.reset();
  manifest_failures_ = 0;
  find_manifest();
}

void PoolSession::on_refusal(const Refusal& refusal) {
  std::string reason = "refused by the coordinator: " + refusal.message;
  bool passing = refusal.reason == RefusalReason::kProtocol;
  if (!passing || ++protocol_refusals_ >= kProtocolRefusals) {
    end(reason, false);
    return;
  }
  notice(reason);
  start_greeting();
}

void PoolSession::on_goodbye(const Goodbye& goodbye) {
  if (welcome_ && !of_this_epoch(goodbye.epoch)) return;
  std::string reason = "the coordinator has ended";
  if (!goodbye.text.empty()) reason += ": " + goodbye.text;
  end(reason, false, true);
}

void PoolSession::on_heartbeat(const Heartbeat& heartbeat) {
  if (!of_this_epoch(heartbeat.epoch) || !heartbeat.reply_wanted) return;
  // The same number: it tells the coordinator that all it sent before has come.
  send(Heartbeat{welcome_->epoch, heartbeat.sequence, false});
}

void PoolSession::keep_alive() {
  Liveness liveness = peer_clock_.liveness(now());
  if (liveness == Liveness::kDead) {
    notice(fmt::format("the coordinator is silent for {} s; greeting it again",
                       whole_seconds(kDeadAfter)));
    start_greeting();
  } else if (peer_clock_.beat_due(now())) {
    send(Heartbeat{welcome_->epoch, ++heartbeats_, liveness != Liveness::kAlive});
  }
}

void PoolSession::on_unreachable() {
  if (phase_ == Phase::kFetchingManifest || phase_ == Phase::kMember) start_greeting();
}

void PoolSession::on_connected(Channel channel) {
  if (phase_ == Phase::kJoining && channel == Channel::kJoin) send_join_request();
  if (phase_ == Phase::kGreeting && channel == Channel::kCompute) {
    retry_at_ = now();
    greet();
  }
  if (channel == Channel::kBulk) request_bulk_again();
}

void PoolSession::on_refused(Channel channel) {
  if (phase_ == Phase::kJoining) {
    if (channel == Channel::kJoin) join_refused("it has no open invitation left");
    return;
  }
  if (channel == Channel::kJoin) return;
  std::string reason =
      "refused by the coordinator: it does not know this device's key; ask for a new invitation";
  end(refused_join_.empty() ? reason : refused_join_ + "; " + reason, false);
}

// Another epoch means that the coordinator has started again and forgot us.
bool PoolSession::of_this_epoch(uint64_t epoch) {
  if (welcome_ && welcome_->epoch == epoch) return true;
  if (phase_ == Phase::kFetchingManifest || phase_ == Phase::kMember) start_greeting();
  return false;
}

}  // namespace potluck
