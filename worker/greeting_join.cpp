// How a worker without a membership gets one: with an invitation, or by asking people.
#include <fmt/format.h>

#include "worker/greeting.h"
#include "worker/pool_places.h"

namespace potluck {
namespace {

// How often a device that waits for people says that it is there, and shows its code.
constexpr Duration kStillThere = std::chrono::seconds(2);
constexpr Duration kShowCodeInterval = std::chrono::seconds(30);

}  // namespace

const std::vector<std::string>& Greeting::join_endpoints() const {
  return address_.pairing ? address_.pairing->endpoints : address_.invitation->endpoints;
}

void Greeting::knock(Joining& joining) {
  link_.connect(Channel::kJoin, join_endpoints()[joining.turns.current()]);
  ask(joining);
}

void Greeting::ask(Joining& joining) {
  joining.ask_at = link_.now() + (joining.show_code_at ? kStillThere : kRetry);
  const std::string name = own_name();
  Message message =
      attempt_ ? attempt_->message(name) : Message(JoinRequest{address_.invitation->secret, name});
  link_.send(std::move(message), Channel::kJoin);
  if (!joining.show_code_at) tell_waiting(joining.wait, addresses_text());
}

void Greeting::on_answer(Joining& joining, const Message& message) {
  if (const auto* accepted = std::get_if<JoinAccept>(&message)) {
    on_accept(*accepted);
  } else if (const auto* refusal = std::get_if<Refusal>(&message)) {
    on_join_refusal(*refusal);
  } else if (const auto* challenge = std::get_if<PairChallenge>(&message); challenge && attempt_) {
    on_challenge(*challenge);
  } else if (std::holds_alternative<PairPending>(message) && attempt_ && attempt_->challenged()) {
    on_pending(joining);
  }
}

void Greeting::on_challenge(const PairChallenge& challenge) {
  if (attempt_->on_challenge(challenge)) {
    ask(std::get<Joining>(state_));
    return;
  }
  link_.end(
      "the coordinator has sent a second challenge: an attacker may be trying out codes. Run "
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
  keep_places(places_in_order(accept, join_endpoints()[std::get<Joining>(state_).turns.current()]));
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

}  // namespace potluck
