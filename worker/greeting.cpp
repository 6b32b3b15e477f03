#include "worker/greeting.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "worker/pool_places.h"

namespace potluck {
namespace {

constexpr Duration kRetry = std::chrono::seconds(1);
// How often a device that waits for people says that it is there, and shows its code.
constexpr Duration kStillThere = std::chrono::seconds(2);
constexpr Duration kShowCodeInterval = std::chrono::seconds(30);
// When to tell the user that the coordinator does not answer, and when to repeat it.
constexpr Duration kTellAfter = std::chrono::seconds(5);
constexpr Duration kTellAtLeast = std::chrono::seconds(60);
// How soon a coordinator that is there answers a beat.
constexpr Duration kSignOfLife = std::chrono::milliseconds(1500);
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

Greeting::Greeting(const PoolAddress& address, const WorkerOptions& options,
                   const std::vector<KernelDigest>& kernels, CoordinatorLink& link)
    : address_(address),
      options_(options),
      kernels_(kernels),
      link_(link),
      places_(places_of(address)) {}

void Greeting::start() {
  if (address_.pairing) {
    attempt_.emplace(PairKeys{address_.pairing->own_key, address_.coordinator},
                     address_.pairing->nonce);
  }
  if (!address_.invitation && !address_.pairing) {
    go_to_endpoints();
    return;
  }
  AddressTurns turns(join_endpoints().size(), link_.now());
  knock(state_.emplace<Joining>(Joining{wait_from_now(), link_.now(), turns, {}}));
}

const std::vector<std::string>& Greeting::join_endpoints() const {
  return address_.pairing ? address_.pairing->endpoints : address_.invitation->endpoints;
}

Greeting::Wait Greeting::wait_from_now() const {
  return {link_.now(), link_.now() + kTellAfter, kTellAfter};
}

void Greeting::knock(Joining& joining) {
  link_.connect(Channel::kJoin, join_endpoints()[joining.turns.current()]);
  ask(joining);
}

void Greeting::ask(Joining& joining) {
  joining.ask_at = link_.now() + (joining.show_code_at ? kStillThere : kRetry);
  const std::string name = shortened(options_.name);
  Message message =
      attempt_ ? attempt_->message(name) : Message(JoinRequest{address_.invitation->secret, name});
  link_.send(std::move(message), Channel::kJoin);
  if (!joining.show_code_at) tell_waiting(joining.wait, addresses_text());
}

// All that are tried, for people.
std::string Greeting::addresses_text() const {
  std::string text;
  auto add = [&](const std::string& address) { text += (text.empty() ? "" : " or ") + address; };
  if (joining()) {
    for (const std::string& endpoint : join_endpoints()) add(endpoint);
  } else {
    for (const PoolPlace& place : places_) add(place.compute);
  }
  return text;
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
  auto* joining = std::get_if<Joining>(&state_);
  if (joining == nullptr) return;
  if (const auto* accepted = std::get_if<JoinAccept>(&message)) {
    on_accept(*accepted);
  } else if (const auto* refusal = std::get_if<Refusal>(&message)) {
    on_join_refusal(*refusal);
  } else if (const auto* challenge = std::get_if<PairChallenge>(&message); challenge && attempt_) {
    on_challenge(*challenge);
  } else if (std::holds_alternative<PairPending>(message) && attempt_ && attempt_->challenged()) {
    on_pending(*joining);
  }
}

void Greeting::on_challenge(const PairChallenge& challenge) {
  if (attempt_->on_challenge(challenge)) {
    ask(std::get<Joining>(state_));
    return;
  }
  link_.end(
      "the coordinator has sent a second challenge: somebody may be trying out codes. Run "
      "`potluck join` again");
}

// The code is shown at once and now and then again.
void Greeting::on_pending(Joining& joining) {
  joining.turns.hold(link_.now());
  joining.wait = wait_from_now();
  if (joining.show_code_at && link_.now() < *joining.show_code_at) return;
  joining.show_code_at = link_.now() + kShowCodeInterval;
  link_.notice(LogLevel::kInfo,
               fmt::format("the code is {}: if the coordinator '{}' shows the same one, admit this "
                           "device there with: potluck admit {}",
                           attempt_->code(), attempt_->coordinator_name(), attempt_->code()),
               {{"code", attempt_->code()}});
}

void Greeting::on_join_refusal(const Refusal& refusal) {
  // Too many devices at once: asked again in a second.
  const bool passing = attempt_ && refusal.reason == RefusalReason::kFull;
  if (passing) return;
  if (attempt_) {
    link_.end("the coordinator does not admit this device: " + refusal.message);
  } else {
    invitation_refused(refusal.message);
  }
}

void Greeting::on_accept(const JoinAccept& accept) {
  constexpr SigningPublicKey kNone{};
  // The invitation's word, where it has one, cannot be changed by what the coordinator says.
  if (address_.signing_key == kNone) address_.signing_key = accept.signing_key;
  if (address_.signing_key == kNone) {
    link_.end(
        "the coordinator does not say by which key it signs manifests: it is of an earlier "
        "version than its invitation");
    return;
  }
  const std::string asked_at = join_endpoints()[std::get<Joining>(state_).turns.current()];
  address_.places = places_in_order(accept, asked_at);
  put_first(0, &address_);
  places_ = address_.places;
  link_.remember(address_);
  go_to_endpoints();
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

void Greeting::go_to_endpoints() {
  AddressTurns turns(places_.size(), link_.now());
  auto& asking = state_.emplace<Asking>(Asking{wait_from_now(), turns});
  hello_at_ = link_.now();
  connect_channels(asking);
  greet(asking);
}

void Greeting::connect_channels(const Asking& asking) {
  const PoolPlace& place = places_[asking.turns.current()];
  link_.connect(Channel::kCompute, place.compute);
  link_.connect(Channel::kBulk, place.bulk);
}

// Also where there is but one: a connection that was refused in the handshake is not tried again by
// itself.
void Greeting::next_place(Asking& asking) {
  asking.turns.next(link_.now());
  connect_channels(asking);
}

// What is held stays held: a request of the same epoch is answered meanwhile.
void Greeting::greet_again() {
  if (!welcomed()) return;
  if (leaving_) {
    link_.end("left the pool without handing over: the coordinator is not there", true);
    return;
  }
  // The connections are kept for a turn: they may be sound, and opening them anew would lose what
  // is on its way.
  AddressTurns turns(places_.size(), link_.now());
  auto& asking = state_.emplace<Asking>(Asking{wait_from_now(), turns});
  // Not at once in any case: Hellos are kRetry apart, or two sides that disagree about the epoch
  // would greet and answer without a pause.
  hello_at_ = std::max(hello_at_, link_.now());
  greet(asking);
}

void Greeting::greet(Asking& asking) {
  Duration waited = link_.now() - asking.wait.since;
  Duration patience = refused_invitation_.empty() ? kFirstWelcome : kFirstWelcomeAfterRefusal;
  if (!welcome_ && waited >= patience) {
    end_unanswered(waited);
    return;
  }
  if (asking.turns.over(link_.now())) next_place(asking);
  if (link_.now() < hello_at_) return;
  hello_at_ = link_.now() + kRetry;
  say_hello();
  tell_waiting(asking.wait, addresses_text());
}

void Greeting::end_unanswered(Duration waited) {
  std::string reason = fmt::format(
      "no answer from {} for {} s: no coordinator is running there, or it does not know this "
      "device's key (then ask for a new invitation)",
      addresses_text(), whole_seconds(waited));
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
  remember_place();
  // Only now: a Welcome that cannot be taken leaves the earlier one standing.
  protocol_refusals_ = 0;
  refused_invitation_.clear();
  welcome_ = welcome;
  return true;
}

// The place that works is the first to be tried from now on.
void Greeting::remember_place() {
  auto* asking = std::get_if<Asking>(&state_);
  if (asking == nullptr || asking->turns.current() == 0) return;
  address_.places = places_;
  put_first(asking->turns.current(), &address_);
  places_ = address_.places;
  asking->turns = AddressTurns(places_.size(), link_.now());
  link_.remember(address_);
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
  std::string reason = leaving_ ? "left the pool" : "the coordinator has ended";
  if (!goodbye.text.empty()) reason += ": " + goodbye.text;
  link_.end(reason, true);
}

void Greeting::leave_gently() {
  leaving_ = true;
  link_.send(Goodbye{epoch(), "its owner wants it to", true});
}

void Greeting::on_heartbeat(const Heartbeat& heartbeat) {
  if (!is_current(heartbeat.epoch) || !heartbeat.reply_wanted) return;
  // The same number: it tells the coordinator that all it sent before has come.
  link_.send(Heartbeat{welcome_->epoch, heartbeat.sequence, false});
}

void Greeting::on_connected(Channel channel) {
  // Asked at once instead of at the next second: this is when a user watches.
  if (auto* joining = std::get_if<Joining>(&state_); joining && channel == Channel::kJoin) {
    joining->turns.hold(link_.now());
    ask(*joining);
  }
  if (auto* asking = std::get_if<Asking>(&state_); asking && channel == Channel::kCompute) {
    asking->turns.hold(link_.now());
    hello_at_ = link_.now();
    greet(*asking);
  }
}

void Greeting::on_refused(Channel channel) {
  if (joining()) {
    if (channel != Channel::kJoin) return;
    if (attempt_) {
      link_.end("the coordinator takes no device without an invitation");
    } else {
      invitation_refused("it has no open invitation left");
    }
    return;
  }
  if (channel == Channel::kJoin) return;
  std::string reason =
      "refused by the coordinator: it does not know this device's key; ask for a new invitation";
  link_.end(refused_invitation_.empty() ? reason : refused_invitation_ + "; " + reason);
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

void Greeting::on_network_changed() {
  if (auto* joining = std::get_if<Joining>(&state_)) {
    joining->turns.next(link_.now());
    knock(*joining);
  } else if (auto* asking = std::get_if<Asking>(&state_)) {
    next_place(*asking);
  } else {
    link_.send(Heartbeat{welcome_->epoch, ++heartbeats_, true});
    std::get<Welcomed>(state_).answer_until = link_.now() + kSignOfLife;
  }
}

void Greeting::on_tick() {
  if (auto* joining = std::get_if<Joining>(&state_)) {
    if (!joining->turns.alone() && joining->turns.over(link_.now())) {
      joining->turns.next(link_.now());
      knock(*joining);
    } else if (link_.now() >= joining->ask_at) {
      ask(*joining);
    }
  } else if (auto* asking = std::get_if<Asking>(&state_)) {
    greet(*asking);
  } else {
    keep_alive();
  }
}

// The network has changed, and the coordinator did not answer since.
bool Greeting::gave_no_sign(Welcomed& welcomed) const {
  if (!welcomed.answer_until || link_.now() < *welcomed.answer_until) return false;
  TimePoint asked_at = *welcomed.answer_until - kSignOfLife;
  welcomed.answer_until.reset();
  return link_.peer_clock().last_heard() < asked_at;
}

void Greeting::keep_alive() {
  Liveness liveness = link_.peer_clock().liveness(link_.now());
  if (gave_no_sign(std::get<Welcomed>(state_))) {
    link_.notice(LogLevel::kWarning,
                 "this device's network has changed and the coordinator is silent; greeting it "
                 "again");
    greet_again();
    if (auto* asking = std::get_if<Asking>(&state_)) next_place(*asking);
  } else if (liveness == Liveness::kDead) {
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
  if (const auto* joining = std::get_if<Joining>(&state_)) {
    return joining->turns.alone() ? joining->ask_at
                                  : std::min(joining->ask_at, joining->turns.ends_at());
  }
  if (const auto* asking = std::get_if<Asking>(&state_)) {
    return std::min(hello_at_, asking->turns.ends_at());
  }
  TimePoint due = link_.peer_clock().next_due();
  return std::min(due, std::get<Welcomed>(state_).answer_until.value_or(due));
}

}  // namespace potluck
