#include "worker/greeting.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"

namespace potluck {
namespace {

constexpr Duration kRetry = std::chrono::seconds(1);
// When to tell the user that the coordinator does not answer, and when to repeat it.
constexpr Duration kTellAfter = std::chrono::seconds(5);
constexpr Duration kTellAtLeast = std::chrono::seconds(60);
// A connection that was refused in the handshake is not tried again by itself.
constexpr Duration kReconnect = std::chrono::seconds(10);
// When a member asks on the join channel where the others are, and when again. Most coordinators
// that start again are found by then where they were; places on the join channel are few.
constexpr Duration kAskAfter = std::chrono::seconds(1);
constexpr Duration kAskAgain = std::chrono::seconds(10);
// A first coordinator that never welcomed us is not there, or does not know this device's key: over
// encrypted sockets the two look alike, and the person who just typed the command should hear of
// it. One that welcomed us before is waited for without end.
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

Greeting::Greeting(const PoolAddress& address, const WorkerOptions& options,
                   const std::vector<KernelDigest>& kernels, CoordinatorLink& link)
    : address_(address),
      known_(!address.compute_endpoint.empty()),
      options_(options),
      kernels_(kernels),
      link_(link) {
  if (address_.invitation) address_.join_endpoint = address_.invitation->join_endpoint;
}

void Greeting::start() {
  if (!address_.invitation) {
    go_to_endpoints();
    return;
  }
  link_.connect(Channel::kJoin, address_.invitation->join_endpoint);
  redeem(state_.emplace<Joining>(Joining{wait_from_now(), link_.now()}));
}

Greeting::Wait Greeting::wait_from_now() const {
  return {link_.now(), link_.now() + kTellAfter, kTellAfter};
}

void Greeting::redeem(Joining& joining) {
  const Invitation& invitation = *address_.invitation;
  joining.ask_at = link_.now() + kRetry;
  link_.send(JoinRequest{invitation.secret, shortened(options_.name)}, Channel::kJoin);
  tell_waiting(joining.wait, invitation.join_endpoint);
}

// Again and again, ever more rarely, to the person who waits: what for, and what was tried.
void Greeting::tell_waiting(Wait& wait, const std::string& endpoint) {
  if (link_.now() < wait.tell_at) return;
  wait.tell_at = link_.now() + wait.tell_interval;
  wait.tell_interval = std::min(2 * wait.tell_interval, kTellAtLeast);
  const auto seconds = whole_seconds(link_.now() - wait.since);
  link_.notice(LogLevel::kInfo,
               fmt::format("waiting for the coordinator at {}: no answer for {} s, trying again "
                           "every second. Is `potluck serve` running there, is this its address "
                           "now, and does its firewall let the port through?",
                           endpoint, seconds),
               {{"endpoint", endpoint}, {"seconds", seconds}});
}

void Greeting::on_join_answer(const Message& message) {
  const auto* accepted = std::get_if<JoinAccept>(&message);
  const auto* refusal = std::get_if<Refusal>(&message);
  if (auto* asking = std::get_if<Asking>(&state_); asking != nullptr && asking->join_open) {
    if (accepted != nullptr) take_endpoints(*asking, *accepted);
    if (refusal != nullptr) end_unknown();
  }
  if (!joining()) return;  // a late answer to a repeated question
  if (accepted != nullptr) {
    address_.compute_endpoint = accepted->compute_endpoint;
    address_.bulk_endpoint = accepted->bulk_endpoint;
    go_to_endpoints();
  } else if (refusal != nullptr) {
    invitation_refused(refusal->message);
  }
}

// Used, expired or unknown. A coordinator that knows us from before may take us all the same.
void Greeting::invitation_refused(const std::string& reason) {
  refused_invitation_ = "the coordinator refused the invitation: " + reason;
  if (address_.compute_endpoint.empty()) {
    link_.end(refused_invitation_);
    return;
  }
  link_.notice(LogLevel::kWarning, refused_invitation_ + "; trying the endpoints of the last time",
               {{"reason", reason}});
  go_to_endpoints();
}

Greeting::Asking Greeting::asking_from_now(Duration reconnect_in) const {
  return {wait_from_now(), link_.now() + reconnect_in, link_.now() + kAskAfter};
}

void Greeting::go_to_endpoints() {
  auto& asking = state_.emplace<Asking>(asking_from_now(Duration::zero()));
  hello_at_ = link_.now();
  connect_channels(asking);
  greet(asking);
}

void Greeting::connect_channels(Asking& asking) {
  asking.reconnect_at = link_.now() + kReconnect;
  // The join channel is closed with that; where it is asked, it goes on.
  if (std::exchange(asking.join_open, false)) asking.ask_at = link_.now();
  link_.connect(Channel::kCompute, address_.compute_endpoint);
  link_.connect(Channel::kBulk, address_.bulk_endpoint);
}

// What is held stays held: a request of the same epoch is answered meanwhile.
void Greeting::greet_again() {
  if (!welcomed()) return;
  // The connections are kept: they may be sound, and opening them anew would lose what is on its
  // way.
  auto& asking = state_.emplace<Asking>(asking_from_now(kReconnect));
  // Not at once in any case: Hellos are kRetry apart, or two sides that disagree about the epoch
  // would greet and answer without a pause.
  hello_at_ = std::max(hello_at_, link_.now());
  greet(asking);
}

void Greeting::greet(Asking& asking) {
  Duration waited = link_.now() - asking.wait.since;
  Duration patience = refused_invitation_.empty() ? kFirstWelcome : kFirstWelcomeAfterRefusal;
  bool patient = welcome_ || (known_ && refused_invitation_.empty());
  if (!patient && waited >= patience) {
    end_unanswered(waited);
    return;
  }
  if (link_.now() >= asking.reconnect_at) connect_channels(asking);
  if (may_ask() && link_.now() >= asking.ask_at) ask_for_endpoints(asking);
  if (link_.now() < hello_at_) return;
  hello_at_ = link_.now() + kRetry;
  say_hello();
  tell_waiting(asking.wait, address_.compute_endpoint);
}

// What is asked is sent when the connection is there. Connected anew each time: it may hang.
void Greeting::ask_for_endpoints(Asking& asking) {
  asking.ask_at = link_.now() + kAskAgain;
  asking.join_open = true;
  link_.connect(Channel::kJoin, address_.join_endpoint);
}

// Those that we have may be the right ones, and the connections to them under way.
void Greeting::take_endpoints(Asking& asking, const JoinAccept& accepted) {
  stop_asking(asking);
  if (accepted.compute_endpoint == address_.compute_endpoint &&
      accepted.bulk_endpoint == address_.bulk_endpoint) {
    return;
  }
  link_.notice(LogLevel::kInfo,
               fmt::format("the coordinator is reached at {} now", accepted.compute_endpoint),
               {{"endpoint", accepted.compute_endpoint}});
  address_.compute_endpoint = accepted.compute_endpoint;
  address_.bulk_endpoint = accepted.bulk_endpoint;
  connect_channels(asking);
}

// Places on the join channel are few, and those who have one keep others away.
void Greeting::stop_asking(Asking& asking) {
  if (asking.join_open) link_.disconnect(Channel::kJoin);
  asking.join_open = false;
}

void Greeting::settle() {
  if (auto* asking = std::get_if<Asking>(&state_)) stop_asking(*asking);
  state_ = Welcomed{};
}

void Greeting::end_unanswered(Duration waited) {
  std::string reason = fmt::format(
      "no answer from {} for {} s: no coordinator is running there, or it does not know this "
      "device's key (then ask for a new invitation)",
      address_.compute_endpoint, whole_seconds(waited));
  link_.end(refused_invitation_.empty() ? reason : refused_invitation_ + "; " + reason);
}

void Greeting::say_hello() {
  Hello hello;
  hello.arithmetic_version = kArithmeticVersion;
  hello.kernels = kernels_;
  hello.name = shortened(options_.name);
  hello.software = shortened(options_.software);
  hello.ram_bytes = options_.ram_bytes;
  hello.disk_bytes = options_.disk_bytes;
  hello.bulk_endpoint = address_.serve_endpoint;
  link_.send(std::move(hello));
}

bool Greeting::accept(const Welcome& welcome) {
  if (welcome.manifest_bytes == 0 || welcome.manifest_bytes > limits::kManifestBytes) {
    refuse_welcome(welcome, fmt::format("wrong manifest: announced with {} bytes, expected 1 to {}",
                                        welcome.manifest_bytes, limits::kManifestBytes));
    return false;
  }
  // While it is decoded it is there twice.
  if (2 * welcome.manifest_bytes > options_.ram_bytes + kKeptBytes) {
    refuse_welcome(welcome,
                   fmt::format("the model's manifest has {} bytes, too much for a worker with {} "
                               "of --ram: give it more",
                               welcome.manifest_bytes, options_.ram_bytes));
    return false;
  }
  // Only now: a Welcome that cannot be taken leaves the earlier one standing.
  protocol_refusals_ = 0;
  refused_invitation_.clear();
  welcome_ = welcome;
  return true;
}

void Greeting::refuse_welcome(const Welcome& welcome, const std::string& reason) {
  link_.send(Goodbye{welcome.epoch, reason});
  link_.end(reason);
}

void Greeting::on_refusal(const Refusal& refusal) {
  std::string reason = "refused by the coordinator: " + refusal.message;
  bool passing = refusal.reason == RefusalReason::kProtocol;
  if (!passing || ++protocol_refusals_ >= kProtocolRefusals) {
    link_.end(reason);
    return;
  }
  link_.notice(LogLevel::kWarning, reason, {{"reason", refusal.message}});
  greet_again();
}

void Greeting::on_goodbye(const Goodbye& goodbye) {
  // A Goodbye of an earlier life may still be on its way when the next one has begun.
  if (welcome_ && !is_current(goodbye.epoch)) return;
  std::string reason = "the coordinator has ended";
  if (!goodbye.text.empty()) reason += ": " + goodbye.text;
  link_.end(reason, true);
}

void Greeting::on_heartbeat(const Heartbeat& heartbeat) {
  if (!is_current(heartbeat.epoch) || !heartbeat.reply_wanted) return;
  // The same number: it tells the coordinator that all it sent before has come.
  link_.send(Heartbeat{welcome_->epoch, heartbeat.sequence, false});
}

void Greeting::on_connected(Channel channel) {
  // Asked at once instead of at the next second: this is when a user watches.
  if (auto* joining = std::get_if<Joining>(&state_); joining && channel == Channel::kJoin) {
    redeem(*joining);
  }
  auto* asking = std::get_if<Asking>(&state_);
  if (asking == nullptr) return;
  if (channel == Channel::kCompute) {
    hello_at_ = link_.now();
    greet(*asking);
  } else if (channel == Channel::kJoin && asking->join_open) {
    link_.send(JoinRequest{{}, shortened(options_.name)}, Channel::kJoin);
  }
}

void Greeting::on_refused(Channel channel) {
  if (joining()) {
    if (channel == Channel::kJoin) invitation_refused("it has no open invitation left");
    return;
  }
  const auto* asking = std::get_if<Asking>(&state_);
  bool asked = asking != nullptr && asking->join_open;
  if (channel != Channel::kJoin || asked) end_unknown();
}

void Greeting::end_unknown() {
  std::string reason =
      "refused by the coordinator: it does not know this device's key; ask for a new invitation";
  link_.end(refused_invitation_.empty() ? reason : refused_invitation_ + "; " + reason);
}

// Connections from an address that is gone hang until somebody notices. What is on its way over
// them is lost, which is made good like any other loss.
void Greeting::on_moved(const std::string& serve_endpoint) {
  address_.serve_endpoint = serve_endpoint;
  if (joining()) {
    link_.connect(Channel::kJoin, address_.invitation->join_endpoint);
  } else {
    go_to_endpoints();
  }
}

bool Greeting::is_current(uint64_t epoch) {
  if (welcome_ && welcome_->epoch == epoch) return true;
  greet_again();
  return false;
}

void Greeting::excuse_absence() {
  if (auto* joining = std::get_if<Joining>(&state_)) joining->wait.since = link_.now();
  if (auto* asking = std::get_if<Asking>(&state_)) asking->wait.since = link_.now();
}

void Greeting::on_tick() {
  if (auto* joining = std::get_if<Joining>(&state_)) {
    if (link_.now() >= joining->ask_at) redeem(*joining);
  } else if (auto* asking = std::get_if<Asking>(&state_)) {
    greet(*asking);
  } else {
    keep_alive();
  }
}

void Greeting::keep_alive() {
  Liveness liveness = link_.peer_clock().liveness(link_.now());
  if (liveness == Liveness::kDead) {
    link_.notice(LogLevel::kWarning,
                 fmt::format("the coordinator is silent for {} s; greeting it again",
                             whole_seconds(kDeadAfter)),
                 {{"seconds", whole_seconds(kDeadAfter)}});
    greet_again();
  } else if (link_.peer_clock().beat_due(link_.now())) {
    link_.send(Heartbeat{welcome_->epoch, ++heartbeats_, liveness != Liveness::kAlive});
  }
}

TimePoint Greeting::next_tick() const {
  if (const auto* joining = std::get_if<Joining>(&state_)) return joining->ask_at;
  if (const auto* asking = std::get_if<Asking>(&state_)) {
    TimePoint next = std::min(hello_at_, asking->reconnect_at);
    return may_ask() ? std::min(next, asking->ask_at) : next;
  }
  return link_.peer_clock().next_due();
}

}  // namespace potluck
