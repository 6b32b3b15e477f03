#include "tests/sim/message_outcomes.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace potluck::sim {
namespace {

constexpr MessageOutcome taken_or_refused(bool taken) {
  return taken ? MessageOutcome::kTaken : MessageOutcome::kRefused;
}

constexpr MessageOutcome taken_or_ignored(bool taken) {
  return taken ? MessageOutcome::kTaken : MessageOutcome::kIgnored;
}

// What the receiver sent back to the sender, if it was of this kind.
template <class T>
const T* reply(const TurnRecord& turn) {
  for (const TurnRecord::Sent& sent : turn.sent) {
    if (sent.to != turn.from) continue;
    if (const T* found = std::get_if<T>(&sent.message)) return found;
  }
  return nullptr;
}

bool notices_contain(const TurnRecord& turn, std::string_view text) {
  return std::any_of(turn.notices.begin(), turn.notices.end(), [&](const std::string& notice) {
    return notice.find(text) != std::string::npos;
  });
}

MessageOutcome of_fetch(const TurnRecord& turn) {
  if (const auto* data = reply<BulkData>(turn)) return taken_or_refused(data->found);
  return turn.notices.empty() ? MessageOutcome::kIgnored : MessageOutcome::kRefused;
}

// A coordinator answers what it cannot use with a Refusal, and what comes from another life of its
// own, or from no member, with a beat of another epoch.
struct AtCoordinator {
  const TurnRecord& turn;

  const std::optional<WorkerRecord>& before() const { return turn.pool_before.sender; }
  const std::optional<WorkerRecord>& after() const { return turn.pool_after.sender; }
  bool stays() const { return before() && after(); }
  MessageOutcome unless_taken(bool taken, uint64_t epoch) const {
    if (taken) return MessageOutcome::kTaken;
    const auto* beat = reply<Heartbeat>(turn);
    return beat != nullptr && beat->epoch != epoch ? MessageOutcome::kRefused
                                                   : MessageOutcome::kIgnored;
  }

  MessageOutcome operator()(const Hello&) const { return taken_or_ignored(reply<Welcome>(turn)); }
  MessageOutcome operator()(const JoinRequest&) const {
    return taken_or_ignored(reply<JoinAccept>(turn));
  }
  MessageOutcome operator()(const PairRequest&) const {
    return taken_or_ignored(reply<PairChallenge>(turn));
  }
  MessageOutcome operator()(const PairReveal&) const {
    return taken_or_ignored(reply<PairPending>(turn));
  }
  MessageOutcome operator()(const Residency& said) const {
    bool changed = stays() && (before()->ready != after()->ready ||
                               before()->room_bytes != after()->room_bytes);
    return unless_taken(changed, said.epoch);
  }
  MessageOutcome operator()(const SourceReport& said) const {
    return unless_taken(stays() && before()->sources != after()->sources, said.epoch);
  }
  MessageOutcome operator()(const HealthReport& said) const {
    return unless_taken(stays() && before()->health != after()->health, said.epoch);
  }
  MessageOutcome operator()(const DeviceSpeed& said) const {
    return unless_taken(stays() && before()->facts != after()->facts, said.epoch);
  }
  MessageOutcome operator()(const Heartbeat& said) const {
    const auto* beat = reply<Heartbeat>(turn);
    return unless_taken(beat != nullptr && beat->epoch == said.epoch, said.epoch);
  }
  MessageOutcome operator()(const Goodbye& said) const {
    const bool drains = stays() && !before()->draining && after()->draining;
    return unless_taken((before() && !after()) || drains, said.epoch);
  }
  MessageOutcome operator()(const Partial&) const {
    const DispatchStatistics& was = turn.pool_before.statistics;
    const DispatchStatistics& is = turn.pool_after.statistics;
    if (is.remote_unit_calls > was.remote_unit_calls) return MessageOutcome::kTaken;
    bool refused = is.bad_replies > was.bad_replies || is.late_replies > was.late_replies;
    return refused ? MessageOutcome::kRefused : MessageOutcome::kIgnored;
  }
  MessageOutcome operator()(const FetchManifest&) const { return of_fetch(turn); }
  MessageOutcome operator()(const FetchGrain&) const { return of_fetch(turn); }
  // What only coordinators say.
  template <class Other>
  MessageOutcome operator()(const Other&) const {
    return MessageOutcome::kIgnored;
  }
};

// A worker that hears of another epoch than its own greets again.
struct AtWorker {
  const TurnRecord& turn;

  const std::optional<MembershipStatus>& before() const { return turn.worker_before.membership; }
  const std::optional<MembershipStatus>& after() const { return turn.worker_after.membership; }
  bool ended() const { return before() && !after(); }
  bool was(std::string_view phase) const { return before() && before()->phase == phase; }
  bool is(std::string_view phase) const { return after() && after()->phase == phase; }
  bool greets_anew() const { return !was("greeting") && is("greeting"); }
  MessageOutcome unless_taken(bool taken) const {
    if (taken) return MessageOutcome::kTaken;
    return greets_anew() || ended() ? MessageOutcome::kRefused : MessageOutcome::kIgnored;
  }

  MessageOutcome operator()(const Welcome&) const {
    return unless_taken(was("greeting") && (is("fetching manifest") || is("member")));
  }
  MessageOutcome operator()(const Refusal&) const {
    return taken_or_ignored(ended() || greets_anew() || !turn.notices.empty());
  }
  MessageOutcome operator()(const Assignment&) const {
    if (notices_contain(turn, "ignored: ")) return MessageOutcome::kRefused;
    bool changed = before() && after() && before()->units_assigned != after()->units_assigned;
    return unless_taken(changed || reply<Residency>(turn) || reply<FetchGrain>(turn));
  }
  MessageOutcome operator()(const Compute&) const {
    const auto* partial = reply<Partial>(turn);
    if (partial == nullptr) return MessageOutcome::kIgnored;
    return taken_or_refused(partial->status == PartialStatus::kOk);
  }
  MessageOutcome operator()(const Heartbeat& said) const {
    const auto* beat = reply<Heartbeat>(turn);
    return unless_taken(beat != nullptr && beat->sequence == said.sequence);
  }
  MessageOutcome operator()(const Goodbye&) const {
    if (greets_anew()) return MessageOutcome::kRefused;
    return taken_or_ignored(ended());
  }
  MessageOutcome operator()(const BulkData&) const {
    bool fetched = turn.worker_after.bytes_fetched > turn.worker_before.bytes_fetched;
    bool wrong = !turn.notices.empty() || ended();
    if (wrong) return MessageOutcome::kRefused;
    return taken_or_ignored(fetched || (was("fetching manifest") && is("member")));
  }
  MessageOutcome operator()(const JoinAccept&) const {
    return taken_or_ignored(was("joining") && is("greeting"));
  }
  MessageOutcome operator()(const PairChallenge&) const {
    if (ended()) return MessageOutcome::kRefused;
    return taken_or_ignored(reply<PairReveal>(turn));
  }
  MessageOutcome operator()(const PairPending&) const {
    return taken_or_ignored(notices_contain(turn, "the code is"));
  }
  MessageOutcome operator()(const Roster&) const { return unless_taken(turn.admitted); }
  MessageOutcome operator()(const FetchGrain&) const { return of_fetch(turn); }
  // What only workers say.
  template <class Other>
  MessageOutcome operator()(const Other&) const {
    return MessageOutcome::kIgnored;
  }
};

}  // namespace

MessageOutcome outcome_of(const TurnRecord& turn) {
  if (turn.at_worker) return std::visit(AtWorker{turn}, turn.message);
  if (reply<Refusal>(turn) != nullptr) return MessageOutcome::kRefused;
  return std::visit(AtCoordinator{turn}, turn.message);
}

void MessageOutcomes::add(const MessageOutcomes& more) {
  for (size_t kind = 0; kind < kMessageKinds; ++kind) {
    for (size_t i = 0; i < counts_[kind].size(); ++i) counts_[kind][i] += more.counts_[kind][i];
  }
}

std::string MessageOutcomes::missing() const {
  std::string text;
  for (size_t kind = 0; kind < kMessageKinds; ++kind) {
    if (of(kind, MessageOutcome::kTaken) == 0)
      text += fmt::format("{} was never taken; ", kind_name(kind));
    if (of(kind, MessageOutcome::kRefused) == 0) {
      text += fmt::format("{} was never refused; ", kind_name(kind));
    }
  }
  return text;
}

std::string MessageOutcomes::table() const {
  std::string text =
      fmt::format("{:<14} {:>8} {:>8} {:>8}\n", "kind", "taken", "refused", "ignored");
  for (size_t kind = 0; kind < kMessageKinds; ++kind) {
    text +=
        fmt::format("{:<14} {:>8} {:>8} {:>8}\n", kind_name(kind), of(kind, MessageOutcome::kTaken),
                    of(kind, MessageOutcome::kRefused), of(kind, MessageOutcome::kIgnored));
  }
  return text;
}

}  // namespace potluck::sim
