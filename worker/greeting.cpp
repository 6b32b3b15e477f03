// How a member is welcomed and stays so; how it becomes one is in greeting_join.cpp.
#include "worker/greeting.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "worker/pool_places.h"

namespace potluck {
namespace {

// When to tell the user that the coordinator does not answer, and when to repeat it.
constexpr Duration kTellAfter = std::chrono::seconds(5);
constexpr Duration kTellAtLeast = std::chrono::seconds(60);
// How soon a coordinator that is there answers a beat.
constexpr Duration kSignOfLife = std::chrono::milliseconds(1500);
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

std::string Greeting::own_name() const {
  return shortened(options_.name);
}

Greeting::Wait Greeting::wait_from_now() const {
  return {link_.now(), link_.now() + kTellAfter, kTellAfter};
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
  if (auto* asking = std::get_if<Asking>(&state_); asking != nullptr && asking->join_open) {
    if (const auto* accepted = std::get_if<JoinAccept>(&message)) {
      take_endpoints(*asking, *accepted);
    } else if (std::holds_alternative<Refusal>(message)) {
      end_unknown();
    }
    return;
  }
  // Otherwise it is a late answer to a repeated question.
  if (auto* joining = std::get_if<Joining>(&state_)) on_answer(*joining, message);
}

// The first of them is tried first, also after the next start.
void Greeting::keep_places(std::vector<PoolPlace> places) {
  address_.places = std::move(places);
  put_first(0, &address_);
  places_ = address_.places;
  link_.remember(address_);
}

Greeting::Asking Greeting::asking_from_now() const {
  return {wait_from_now(), AddressTurns(places_.size(), link_.now()), link_.now() + kAskAfter};
}

void Greeting::go_to_endpoints() {
  auto& asking = state_.emplace<Asking>(asking_from_now());
  hello_at_ = link_.now();
  connect_channels(asking);
  greet(asking);
}

void Greeting::connect_channels(Asking& asking) {
  // The join channel is closed with that; where it is asked, it goes on.
  if (std::exchange(asking.join_open, false)) asking.ask_at = link_.now();
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
  if (leaving_ && std::exchange(returning_, true)) {
    end_leaving();
    return;
  }
  // The connections are kept for a turn: they may be sound, and opening them anew would lose what
  // is on its way.
  auto& asking = state_.emplace<Asking>(asking_from_now());
  // Not at once in any case: Hellos are kRetry apart, or two sides that disagree about the epoch
  // would greet and answer without a pause.
  hello_at_ = std::max(hello_at_, link_.now());
  greet(asking);
}

void Greeting::greet(Asking& asking) {
  Duration waited = link_.now() - asking.wait.since;
  if (leaving_ && waited >= kDeadAfter) {
    end_leaving();
    return;
  }
  Duration patience = refused_invitation_.empty() ? kFirstWelcome : kFirstWelcomeAfterRefusal;
  bool patient = welcome_ || (known_ && refused_invitation_.empty());
  if (!patient && waited >= patience) {
    end_unanswered(waited);
    return;
  }
  if (asking.turns.over(link_.now())) next_place(asking);
  if (may_ask(asking) && link_.now() >= asking.ask_at) ask_for_endpoints(asking);
  if (link_.now() < hello_at_) return;
  hello_at_ = link_.now() + kRetry;
  say_hello();
  tell_waiting(asking.wait, addresses_text());
}

// Where to ask at the place whose turn it is; empty: nowhere. An invitation's endpoints serve a
// later life of the coordinator as well.
std::string Greeting::ask_endpoint(const Asking& asking) const {
  const size_t turn = asking.turns.current();
  if (!places_[turn].join.empty() || !address_.invitation) return places_[turn].join;
  const std::vector<std::string>& invited = address_.invitation->endpoints;
  return invited.empty() ? std::string() : invited[turn % invited.size()];
}

// What is asked is sent when the connection is there. Connected anew each time: it may hang.
void Greeting::ask_for_endpoints(Asking& asking) {
  asking.ask_at = link_.now() + kAskAgain;
  asking.join_open = true;
  link_.connect(Channel::kJoin, ask_endpoint(asking));
}

// The place that is tried may be the right one, and the connections to it under way.
void Greeting::take_endpoints(Asking& asking, const JoinAccept& accepted) {
  std::vector<PoolPlace> places = places_in_order(accepted, ask_endpoint(asking));
  stop_asking(asking);
  const PoolPlace& tried = places_[asking.turns.current()];
  auto right = std::find_if(places.begin(), places.end(), [&](const PoolPlace& place) {
    return place.compute == tried.compute && place.bulk == tried.bulk;
  });
  const bool moved = right == places.end();
  if (!moved) std::rotate(places.begin(), right, right + 1);
  if (places == places_) return;
  keep_places(std::move(places));
  asking.turns = AddressTurns(places_.size(), link_.now());
  if (!moved) return;
  const std::string& endpoint = places_.front().compute;
  link_.notice(LogLevel::kInfo, fmt::format("the coordinator is reached at {} now", endpoint),
               {{"endpoint", endpoint}});
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
      addresses_text(), whole_seconds(waited));
  link_.end(refused_invitation_.empty() ? reason : refused_invitation_ + "; " + reason);
}

void Greeting::say_hello() {
  Hello hello;
  hello.arithmetic_version = kArithmeticVersion;
  hello.kernels = kernels_;
  hello.name = own_name();
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

bool Greeting::was_member_lately() const {
  const auto* asking = std::get_if<Asking>(&state_);
  return asking != nullptr && welcome_ && link_.now() - asking->wait.since < kDeadAfter;
}

void Greeting::leave_gently() {
  leaving_ = true;
  if (welcomed()) {
    link_.send(Goodbye{epoch(), "its owner asked it to", true});
  } else {
    returning_ = true;
  }
}

void Greeting::end_leaving() {
  link_.end("left the pool without handing over: the coordinator is not there", true);
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
  auto* asking = std::get_if<Asking>(&state_);
  if (asking == nullptr) return;
  if (channel == Channel::kCompute) {
    asking->turns.hold(link_.now());
    hello_at_ = link_.now();
    greet(*asking);
  } else if (channel == Channel::kJoin && asking->join_open) {
    link_.send(JoinRequest{{}, own_name()}, Channel::kJoin);
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
  const auto* asking = std::get_if<Asking>(&state_);
  bool asked = asking != nullptr && asking->join_open;
  if (channel != Channel::kJoin || asked) end_unknown();
}

void Greeting::end_unknown() {
  std::string reason =
      "refused by the coordinator: it does not know this device's key; ask for a new invitation";
  link_.end(refused_invitation_.empty() ? reason : refused_invitation_ + "; " + reason);
}

// Connections from an address that is gone hang until a timeout notices. What is on its way over
// them is lost, which is made good like any other loss.
void Greeting::on_moved(const std::string& serve_endpoint) {
  address_.serve_endpoint = serve_endpoint;
  if (auto* joining = std::get_if<Joining>(&state_)) {
    knock(*joining);
  } else if (leaving_ && std::exchange(returning_, true)) {
    end_leaving();
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
  } else if (liveness == Liveness::kDead && leaving_) {
    end_leaving();  // one that has given us up would have said so
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
    TimePoint next = std::min(hello_at_, asking->turns.ends_at());
    return may_ask(*asking) ? std::min(next, asking->ask_at) : next;
  }
  TimePoint due = link_.peer_clock().next_due();
  return std::min(due, std::get<Welcomed>(state_).answer_until.value_or(due));
}

}  // namespace potluck
