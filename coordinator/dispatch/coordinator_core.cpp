#include "coordinator/dispatch/coordinator_core.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "protocol/codec.h"

namespace potluck {
namespace {

MembershipOptions with_learned(MembershipOptions options, const PoolLearning* learned) {
  options.learned = learned;
  return options;
}

}  // namespace

CoordinatorCore::CoordinatorCore(const CoordinatorCoreOptions& options,
                                 const SignedManifest& signed_manifest, const Manifest& manifest,
                                 const GrainCutter& cutter, AllowList& allow_list,
                                 InvitationBook& invitations, const Clock& clock)
    : clock_(clock),
      learned_(options.membership.outline != nullptr ? *options.membership.outline : manifest),
      membership_(with_learned(options.membership, &learned_), manifest, allow_list, invitations,
                  clock),
      delivery_(signed_manifest, manifest, cutter, clock, options.serve_rate, options.grains),
      dispatcher_(options.membership.epoch, options.membership.slices, manifest,
                  membership_.state(), clock, options.dispatch),
      allow_list_(allow_list) {
  dispatcher_.learn_into(&learned_);
  if (options.entropy != nullptr) {
    pairing_.emplace(options.key, options.name, *options.entropy, clock);
  }
}

void CoordinatorCore::on_frames(const Envelope& envelope) {
  Result<Message> message = decode_header(envelope.frames.header);
  if (!message) {
    ++intake_.undecodable;
    notices_.add(fmt::format("dropped a message of peer {}: {}", envelope.peer.brief(),
                             message.error().message),
                 LogLevel::kWarning,
                 {{"peer", envelope.peer.brief()}, {"reason", message.error().message}});
    return;
  }
  route(envelope, *message);
  settle();
}

void CoordinatorCore::route(const Envelope& envelope, const Message& message) {
  const PeerKey& from = envelope.peer;
  const Channel channel = envelope.channel;
  const ByteSpan tensor = envelope.frames.tensor;
  // Of what a coordinator receives only a Partial has tensor data. Megabytes behind another message
  // come from no honest peer.
  bool has_tensor = std::holds_alternative<Partial>(message);
  if (!tensor.empty() && !has_tensor) {
    refuse(from, channel, message);
    return;
  }
  switch (channel) {
    case Channel::kCompute:
      on_compute(from, message, tensor);
      return;
    case Channel::kBulk:
      membership_.heard_from(from);
      dispatcher_.heard_from(from);
      if (!delivery_.on_message(from, message, membership_.is_member(from))) {
        refuse(from, channel, message);
      }
      return;
    case Channel::kJoin:
      on_join(envelope, message);
      return;
    case Channel::kServe:  // workers among themselves
      return;
  }
}

void CoordinatorCore::on_join(const Envelope& envelope, const Message& message) {
  const bool pairing =
      std::holds_alternative<PairRequest>(message) || std::holds_alternative<PairReveal>(message);
  if (std::holds_alternative<JoinRequest>(message)) {
    membership_.on_message(envelope.peer, envelope.channel, message);
  } else if (pairing) {
    on_pairing(envelope, message);
  } else {
    refuse(envelope.peer, envelope.channel, message);
  }
}

// Not by Membership::refuse(): each of its refusals is a line in the log, and strangers can cause
// as many as they like.
void CoordinatorCore::on_pairing(const Envelope& envelope, const Message& message) {
  const PeerKey& from = envelope.peer;
  if (allow_list_.contains(from)) {  // our word that it was admitted may have been lost
    membership_.accept(from);
    return;
  }
  std::optional<Message> answer =
      Refusal{RefusalReason::kInvitation, "this coordinator takes no device without an invitation"};
  if (pairing_) {
    const auto* request = std::get_if<PairRequest>(&message);
    answer = request != nullptr ? pairing_->on_request(from, envelope.origin, *request)
                                : pairing_->on_reveal(from, std::get<PairReveal>(message));
  }
  if (answer) membership_.answer_stranger(from, std::move(*answer));
  if (!pairing_) return;
  for (const WaitingDevice& device : pairing_->take_news()) {
    notices_.add(fmt::format("{} ({}) asks to be admitted. If it shows the code {}, type: admit {}",
                             device.name, device.key.brief(), device.code, device.code),
                 LogLevel::kInfo,
                 {{"worker", device.key.brief()}, {"name", device.name}, {"code", device.code}});
  }
}

std::vector<WaitingDevice> CoordinatorCore::waiting_devices() const {
  return pairing_ ? pairing_->waiting() : std::vector<WaitingDevice>();
}

Result<WaitingDevice> CoordinatorCore::admit_waiting(const std::string& code) {
  std::optional<WaitingDevice> device = pairing_ ? pairing_->find(code) : std::nullopt;
  if (!device) {
    return Error{ErrorCode::kNotFound, fmt::format("no device that waits shows the code {}", code)};
  }
  if (Status admitted = membership_.admit_device(device->key, device->name); !admitted) {
    return admitted.error();
  }
  pairing_->forget(device->key);
  return std::move(*device);
}

Result<WaitingDevice> CoordinatorCore::refuse_waiting(const std::string& code) {
  std::optional<WaitingDevice> device = pairing_ ? pairing_->find(code) : std::nullopt;
  if (!device) {
    return Error{ErrorCode::kNotFound, fmt::format("no device that waits shows the code {}", code)};
  }
  pairing_->forget(device->key);
  membership_.answer_stranger(
      device->key, Refusal{RefusalReason::kInvitation, "its owner turned this device away"});
  notices_.add(fmt::format("{} ({}) is turned away", device->name, device->key.brief()),
               LogLevel::kInfo, {{"worker", device->key.brief()}, {"name", device->name}});
  return std::move(*device);
}

void CoordinatorCore::on_compute(const PeerKey& from, const Message& message, ByteSpan tensor) {
  if (const auto* partial = std::get_if<Partial>(&message)) {
    membership_.heard_from(from);
    // A peer that is no member cannot owe an answer; what it sends late is counted all the same.
    dispatcher_.on_partial(from, *partial, tensor);
    return;
  }
  dispatcher_.heard_from(from);
  if (std::holds_alternative<JoinRequest>(message) ||
      !membership_.on_message(from, Channel::kCompute, message)) {
    refuse(from, Channel::kCompute, message);
  }
}

void CoordinatorCore::refuse(const PeerKey& from, Channel channel, const Message& message) {
  ++intake_.refused;
  membership_.refuse(from, channel, RefusalReason::kProtocol,
                     fmt::format("{} has no place here", message_name(message)));
}

// The parts know nothing of one another: what one has learned is handed on here, after each event
// and before anything is sent, so that no work leaves for a worker that is lost by then.
void CoordinatorCore::settle() {
  for (const auto& [worker, units] : dispatcher_.take_lost_units()) {
    membership_.on_units_lost(worker, units);
  }
  for (const Liar& liar : dispatcher_.take_liars()) {
    membership_.quarantine(liar.worker, liar.reason);
    dispatcher_.on_worker_lost(liar.worker);
  }
  for (const PeerKey& worker : membership_.take_reset_workers()) {
    dispatcher_.on_worker_lost(worker);
    delivery_.forget(worker);
    probed_at_.erase(worker);
  }
}

std::optional<uint64_t> CoordinatorCore::check_done(uint64_t check, bool computed) {
  std::optional<uint64_t> hopeless = dispatcher_.check_done(check, computed);
  settle();
  return hopeless;
}

void CoordinatorCore::manifest_grew() {
  // First: what is announced has to be there when it is asked for.
  delivery_.manifest_grew();
  membership_.manifest_grew();
}

void CoordinatorCore::revoke(const PeerKey& key) {
  membership_.revoke(key);
  settle();
}

void CoordinatorCore::on_unreachable(const PeerKey& peer, const std::string& reason) {
  membership_.on_unreachable(peer, reason);
  delivery_.forget(peer);
  settle();
}

void CoordinatorCore::on_tick() {
  // Silence before deadlines: work that is overdue must not be given to a worker that is lost in
  // the same tick.
  membership_.on_tick();
  settle();
  if (pairing_) pairing_->on_tick();
  dispatcher_.on_tick();
  TimePoint now = clock_.now();
  for (const PeerKey& worker : dispatcher_.waiting_for()) {
    if (next_probe(worker) > now) continue;
    probed_at_[worker] = now;
    membership_.probe(worker);
  }
}

TimePoint CoordinatorCore::next_probe(const PeerKey& worker) const {
  auto probed = probed_at_.find(worker);
  return probed == probed_at_.end() ? TimePoint{0} : probed->second + kProbeInterval;
}

TimePoint CoordinatorCore::next_tick() const {
  TimePoint next = membership_.next_tick();
  if (pairing_) next = std::min(next, pairing_->next_tick());
  if (auto due = dispatcher_.next_due()) next = std::min(next, *due);
  dispatcher_.visit_owed([&](const PeerKey& worker, TimePoint waiting) {
    next = std::min(next, std::max(waiting, next_probe(worker)));
  });
  return next;
}

std::vector<OutgoingMessage> CoordinatorCore::take_outgoing(size_t bulk_limit) {
  // Work first: everything else can wait the microseconds.
  std::vector<OutgoingMessage> outgoing = dispatcher_.take_outgoing();
  for (const OutgoingMessage& message : outgoing) membership_.sent_to(message.peer);
  auto append = [&](std::vector<OutgoingMessage> more) {
    std::move(more.begin(), more.end(), std::back_inserter(outgoing));
  };
  append(membership_.take_outgoing());
  if (dispatcher_.next_deadline()) {
    // Bulk data takes processor time for encryption and the link that work needs: while a batch is
    // under way, one part a turn.
    delivery_.work_seen();
    bulk_limit = std::min<size_t>(bulk_limit, 1);
  }
  if (bulk_limit > 0 && !delivery_.idle()) append(delivery_.take_outgoing(bulk_limit));
  return outgoing;
}

std::vector<LogEvent> CoordinatorCore::take_notices() {
  std::vector<LogEvent> notices = notices_.take();
  for (auto& more :
       {membership_.take_notices(), dispatcher_.take_notices(), delivery_.take_notices()}) {
    notices.insert(notices.end(), more.begin(), more.end());
  }
  return notices;
}

}  // namespace potluck
