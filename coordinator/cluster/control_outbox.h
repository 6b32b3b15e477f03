// ControlOutbox: what peers are to be told besides work, one message of each kind per peer at most:
// what is said again before it was sent replaces what was to be said. Bounded by that, and by what
// a peer takes: of the large kinds (roster, assignment) it gets kUnconfirmedBytes; then it is asked
// to answer a beat, which comes behind all of that, and gets no more before it has. Plain value;
// one thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/clock.h"
#include "protocol/keys.h"
#include "protocol/liveness.h"
#include "protocol/message.h"
#include "protocol/transport.h"

namespace potluck {

struct OutgoingMessage {
  PeerKey peer;
  Channel channel = Channel::kCompute;
  Message message;
  ByteVector tensor;
};

class ControlOutbox {
 public:
  // Sent to one peer and perhaps still on its way: several assignments of a very large model.
  static constexpr uint64_t kUnconfirmedBytes = kMiB;
  // How long a peer may take nothing of it before it is given up.
  static constexpr Duration kPatience = std::chrono::seconds(60);
  // Peers that are told something at the same time; strangers beyond it get no answer.
  static constexpr size_t kPeers = 1024;

  // Makes the message for a peer when it is sent, from what is so then.
  struct Makers {
    std::function<Roster(const PeerKey&)> roster;
    std::function<Assignment(const PeerKey&)> assignment;
  };

  // A small message. A beat that wants an answer is not replaced by one that does not.
  void add(const PeerKey& peer, Channel channel, Message message);
  void add_roster(const PeerKey& peer) { peers_[peer].roster = true; }
  void add_assignment(const PeerKey& peer) { peers_[peer].assignment = true; }
  // The peer has left: what it was to be told is dropped. What was sent stays unconfirmed.
  void drop(const PeerKey& peer);

  // What is to be sent now, peer by peer, in the order in which it is understood: Welcome, Roster,
  // Assignment, anything else.
  std::vector<OutgoingMessage> take(TimePoint now, uint64_t epoch, const Makers& makers);
  // The peer has answered this beat.
  void on_answered(const PeerKey& peer, uint64_t sequence);
  // Of a beat to send; no two are alike, and none is like those that peers count themselves.
  uint64_t next_sequence() { return next_sequence_++; }
  // Peers that were asked long ago and took nothing.
  std::vector<PeerKey> stuck(TimePoint now) const;
  // When take() next has a message that no peer has just asked for.
  std::optional<TimePoint> next_change() const;

 private:
  using Kind = std::pair<Channel, size_t>;  // of small messages: index in Message
  struct Peer {
    std::map<Kind, Message> small;
    bool roster = false;
    bool assignment = false;
    uint64_t unconfirmed = 0;  // bytes
    uint64_t asked = 0;        // first beat that confirms all of them; 0: none
    TimePoint asked_since{0};
    TimePoint asked_at{0};

    bool wants_large() const { return roster || assignment; }
    bool waits() const { return wants_large() && asked != 0; }
    bool nothing_to_say() const { return small.empty() && !wants_large(); }
    bool empty() const { return nothing_to_say() && unconfirmed == 0; }
  };

  void take_small(const PeerKey& key, Peer& peer, bool welcome, std::vector<OutgoingMessage>* out);
  void take_large(const PeerKey& key, Peer& peer, const Makers& makers,
                  std::vector<OutgoingMessage>* out);
  void ask(const PeerKey& key, Peer& peer, TimePoint now, uint64_t epoch,
           std::vector<OutgoingMessage>* out);

  std::map<PeerKey, Peer> peers_;
  // Peers count their own beats from 1.
  uint64_t next_sequence_ = uint64_t{1} << 32;
};

}  // namespace potluck
