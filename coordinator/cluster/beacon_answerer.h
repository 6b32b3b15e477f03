// BeaconAnswerer: what a coordinator answers to workers that ask who is there (protocol/beacon.h).
// A state machine: datagram in, datagram out. Answers only questions that come from its own
// networks, and one address so often at most. One thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "engine/base/clock.h"
#include "protocol/beacon.h"
#include "protocol/datagram_socket.h"

namespace potluck {

// One address is answered so often: a worker asks once a second, and by each of several networks.
inline constexpr uint32_t kBeaconBurst = 8;
inline constexpr Duration kBeaconInterval = std::chrono::milliseconds(250);

class BeaconAnswerer {
 public:
  // `interface`: only questions that come by it are answered; empty: all. `clock` must outlive the
  // object.
  BeaconAnswerer(BeaconAnswer answer, std::string interface, const Clock& clock)
      : answer_(std::move(answer)), interface_(std::move(interface)), clock_(clock) {}

  // To be sent to where the datagram came from; nothing to anything but a question.
  std::optional<ByteVector> on_datagram(const Datagram& datagram);

 private:
  struct Asker {
    uint32_t left = kBeaconBurst;
    TimePoint filled_at{0};
  };
  // Addresses that are remembered; those that asked longest ago make room.
  static constexpr size_t kAskers = 256;

  bool take_turn(const std::string& host);

  BeaconAnswer answer_;
  std::string interface_;
  const Clock& clock_;
  std::map<std::string, Asker> askers_;
};

}  // namespace potluck
