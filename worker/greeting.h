// Greeting: how a session comes to be welcomed by its coordinator and stays so: redeems the
// invitation or asks people to admit this device (PairingAttempt), says Hello until it is answered,
// beats, and greets again after silence, a lost connection or a sign that the coordinator has
// started again. Where the coordinator has several addresses, they are tried in turn; where Hello
// gets no answer, it asks on the join channel where the others are now: a member needs no
// invitation for that. It knows the last Welcome; what follows from one is the session's to do.
// Owned by PoolSession. One thread.
//
//   joining --JoinAccept, or refused but known from before--> greeting --Welcome--> welcomed
//                                                                ^                     |
//                                                                +---- greet_again() --+
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "worker/address_turns.h"
#include "worker/coordinator_link.h"
#include "worker/pairing_attempt.h"

namespace potluck {

class Greeting {
 public:
  // All references must outlive the object.
  Greeting(const PoolAddress& address, const WorkerOptions& options,
           const std::vector<KernelDigest>& kernels, CoordinatorLink& link);

  void start();
  // What came on the join channel: nothing counts but the answer to a JoinRequest, JoinAccept or
  // Refusal, and that only while it is awaited.
  void on_join_answer(const Message& message);
  // False if a worker like this one cannot be a member: the session has ended then.
  bool accept(const Welcome& welcome);
  // What a welcomed worker gets has come: nothing is asked any more.
  void settle();
  void on_refusal(const Refusal& refusal);
  void on_goodbye(const Goodbye& goodbye);
  void on_heartbeat(const Heartbeat& heartbeat);
  void on_unreachable() { greet_again(); }
  void on_connected(Channel channel);
  void on_refused(Channel channel);
  void on_moved(const std::string& serve_endpoint);
  // Whether a message is of the epoch that was welcomed last. Another one means that the
  // coordinator has started again and forgot us: then it is greeted.
  bool is_current(uint64_t epoch);
  // We were away: the coordinator has had no chance to answer us.
  void excuse_absence();
  // Goes to the next address at once; a welcomed worker asks for a sign of life first.
  void on_network_changed();
  // From now on the session ends, in order, as soon as the coordinator says Goodbye, or is silent
  // for kDeadAfter. One that has given us up, say because we were frozen, is greeted once more: it
  // may need what we hold. To be said again when it has welcomed us.
  void leave_gently();
  // It is greeted again since a moment ago.
  bool was_member_lately() const;
  bool leaving() const { return leaving_; }

  void on_tick();
  TimePoint next_tick() const;

  bool joining() const { return std::holds_alternative<Joining>(state_); }
  bool welcomed() const { return std::holds_alternative<Welcomed>(state_); }
  // The last one; it stands while the coordinator is greeted again.
  const std::optional<Welcome>& welcome() const { return welcome_; }
  // Of the last Welcome; 0 before the first.
  uint64_t epoch() const { return welcome_ ? welcome_->epoch : 0; }
  // By which the pool's manifests are signed.
  const SigningPublicKey& signing_key() const { return address_.signing_key; }

 private:
  static constexpr Duration kRetry = std::chrono::seconds(1);

  // How long an answer has been waited for, and when the user is told of it next.
  struct Wait {
    TimePoint since;
    TimePoint tell_at;
    Duration tell_interval;
  };
  struct Joining {
    Wait wait;
    TimePoint ask_at;
    AddressTurns turns;
    std::optional<TimePoint> show_code_at;  // while people are to compare it
  };
  struct Asking {
    Wait wait;
    AddressTurns turns;
    TimePoint ask_at;        // on the join channel
    bool join_open = false;  // it is asked there
  };
  struct Welcomed {
    // After a change of network: if nothing was heard until then, the connection is dead.
    std::optional<TimePoint> answer_until;
  };

  std::string own_name() const;
  Wait wait_from_now() const;
  void knock(Joining& joining);
  void ask(Joining& joining);
  const std::vector<std::string>& join_endpoints() const;
  void on_answer(Joining& joining, const Message& message);
  void on_challenge(const PairChallenge& challenge);
  void on_pending(Joining& joining);
  void on_join_refusal(const Refusal& refusal);
  void on_accept(const JoinAccept& accept);
  void tell_waiting(Wait& wait, const std::string& endpoint);
  void invitation_refused(const std::string& reason);
  Asking asking_from_now() const;
  std::string addresses_text() const;
  void go_to_endpoints();
  std::string ask_endpoint(const Asking& asking) const;
  bool may_ask(const Asking& asking) const { return !ask_endpoint(asking).empty(); }
  void ask_for_endpoints(Asking& asking);
  void take_endpoints(Asking& asking, const JoinAccept& accepted);
  void stop_asking(Asking& asking);
  void end_unknown();
  void connect_channels(Asking& asking);
  void next_place(Asking& asking);
  void greet_again();
  void greet(Asking& asking);
  void say_hello();
  void keep_alive();
  bool gave_no_sign(Welcomed& welcomed) const;
  void end_unanswered(Duration waited);
  void end_leaving();
  void keep_places(std::vector<PoolPlace> places);
  void remember_place();
  void refuse_welcome(const Welcome& welcome, const std::string& reason);

  PoolAddress address_;
  bool known_;  // from an earlier membership: its coordinator is waited for without end
  const WorkerOptions& options_;
  const std::vector<KernelDigest>& kernels_;
  CoordinatorLink& link_;
  std::optional<PairingAttempt> attempt_;
  std::vector<PoolPlace> places_;  // that are tried, the best first
  std::variant<Joining, Asking, Welcomed> state_;
  TimePoint hello_at_{0};  // not before, also when the coordinator is greeted again meanwhile
  std::optional<Welcome> welcome_;
  std::string refused_invitation_;  // why, if it was
  uint32_t protocol_refusals_ = 0;  // in a row
  uint64_t heartbeats_ = 0;
  bool leaving_ = false;
  bool returning_ = false;  // while leaving, the coordinator was or is greeted once more
};

}  // namespace potluck
