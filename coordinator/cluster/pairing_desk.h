// PairingDesk: devices without an invitation that ask to be admitted. Each shows a code
// (protocol/pairing_code.h), and a person admits the one whose code is the same here. A state
// machine; one thread.
//
//   PairRequest -> challenged -PairReveal-> waiting -admit()-> (the allow list)
//                      |                       |
//                      +-- deadline, silence --+--> forgotten
//
// Strangers get here, so everything is bounded, and shared between the addresses that they come
// from: the devices that wait, and the attempts. An attacker between a worker and the
// coordinator can abandon an attempt whose code is of no use and begin another one. In the
// kPairingTime that a device waits, all strangers together begin at most kPairingBurst +
// kPairingTime / kPairingInterval pairings (158), so the attacker gets the code of that device with
// a chance of one in 600,000.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "protocol/address_group.h"
#include "protocol/message.h"

namespace potluck {

// How long a device may wait for a person.
inline constexpr Duration kPairingTime = std::chrono::minutes(5);
// A device says every two seconds that it still waits; one that does not has gone away.
inline constexpr Duration kPairingSilence = std::chrono::seconds(10);
// Between a challenge and the nonce.
inline constexpr Duration kRevealTime = std::chrono::seconds(10);
inline constexpr uint32_t kPairingBurst = 8;
inline constexpr Duration kPairingInterval = std::chrono::seconds(2);
// Of one address: a few devices behind it at once, and then one each ten seconds.
inline constexpr uint32_t kPairingBurstPerOrigin = 4;
inline constexpr Duration kPairingIntervalPerOrigin = std::chrono::seconds(10);

struct WaitingDevice {
  PeerKey key;
  std::string name;  // as it calls itself
  std::string code;  // "1234-5678"
  Duration waited{0};

  bool operator==(const WaitingDevice&) const = default;
};

class PairingDesk {
 public:
  // `entropy` (for nonces) and `clock` must outlive the desk. `name`: of the coordinator.
  PairingDesk(const PeerKey& own_key, std::string name, Entropy& entropy, const Clock& clock);

  // What to answer; nothing to what is out of order.
  std::optional<Message> on_request(const PeerKey& from, const AddressGroup& origin,
                                    const PairRequest& request);
  std::optional<Message> on_reveal(const PeerKey& from, const PairReveal& reveal);

  // In the order in which they came.
  std::vector<WaitingDevice> waiting() const;
  // The device that waits with this code; nothing if there is none.
  std::optional<WaitingDevice> find(const std::string& code) const;
  // It was admitted.
  void forget(const PeerKey& key);

  void on_tick();
  // TimePoint::max() when nobody is there.
  TimePoint next_tick() const;
  // Devices that began to wait since the last call, for people.
  std::vector<WaitingDevice> take_news();

 private:
  struct Entry {
    PeerKey key;
    AddressGroup origin;
    std::string name;
    Digest commitment;
    PairNonce nonce{};  // ours
    std::string code;   // empty until it has revealed its own
    TimePoint since{0};
    TimePoint heard_at{0};
  };
  // Attempts that may be begun now; more come with time.
  struct Budget {
    uint32_t left = 0;
    TimePoint filled_at{0};
  };

  Entry* entry_of(const PeerKey& key);
  static TimePoint deadline_of(const Entry& entry);
  WaitingDevice describe(const Entry& entry) const;
  bool take_attempt(const AddressGroup& origin);
  void refill(Budget* budget, uint32_t most, Duration interval) const;
  bool make_place(const AddressGroup& origin);

  PeerKey own_key_;
  std::string name_;
  Entropy& entropy_;
  const Clock& clock_;
  std::vector<Entry> entries_;  // in the order in which they came
  Budget attempts_;
  std::map<AddressGroup, Budget> origins_;
  std::vector<WaitingDevice> news_;
};

}  // namespace potluck
