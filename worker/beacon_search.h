// BeaconSearch: looks for coordinators on this device's networks (protocol/beacon.h). A state
// machine: time and datagrams in, questions out. Nothing that it finds is certain: anyone on the
// network may have answered, under any name. One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "protocol/beacon.h"
#include "protocol/datagram_socket.h"

namespace potluck {

struct FoundPool {
  PeerKey coordinator;
  std::string name;                    // as it calls itself
  std::vector<std::string> endpoints;  // of its join channel, as they were found
};

class BeaconSearch {
 public:
  // Answers come within milliseconds, on a busy radio within some hundred; what is there is known
  // after this.
  static constexpr Duration kEnough = std::chrono::milliseconds(1500);
  // More than a list is read with; one address that answers under many keys fills a part of it.
  static constexpr size_t kMostPools = 32;
  static constexpr size_t kMostPoolsPerHost = 4;
  static constexpr size_t kMostEndpoints = 8;

  // `clock` must outlive the object.
  BeaconSearch(Entropy& entropy, const Clock& clock);

  // A question for everyone, when that is due.
  std::optional<ByteVector> take_question();
  TimePoint next_question() const { return ask_at_; }
  void on_datagram(const Datagram& datagram);

  const std::vector<FoundPool>& found() const { return found_; }
  // Something was found, and there was time for others to be found as well.
  bool settled() const;

 private:
  FoundPool* pool_of(const BeaconAnswer& answer, const std::string& host);

  const Clock& clock_;
  uint64_t nonce_;
  TimePoint ask_at_;
  Duration pause_;
  std::optional<TimePoint> found_at_;  // the first
  std::vector<FoundPool> found_;
};

}  // namespace potluck
