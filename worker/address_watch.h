// AddressWatch: notices that this device reaches a coordinator from another address than before: a
// DHCP server gave it a new one, or it went from the wire to the radio. TCP does not notice for
// long: what was sent from the old address is repeated in vain. Asks the routing table now and
// then, which sends nothing. One thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "protocol/keys.h"

namespace potluck {

class AddressWatch {
 public:
  // The local address of a connection to an endpoint; an error while there is no way there.
  using Ask = std::function<Result<std::string>(const std::string& endpoint)>;
  static constexpr Duration kInterval = std::chrono::milliseconds(500);

  explicit AddressWatch(Ask ask) : ask_(std::move(ask)) {}

  // The coordinators that are reached from another address than at the last look. Looks at most
  // once in kInterval. `endpoints`: where they are.
  std::vector<PeerKey> look(const std::map<PeerKey, std::string>& endpoints, TimePoint now);
  TimePoint next_look() const { return next_look_; }

 private:
  struct Seen {
    std::string endpoint;
    std::string address;
  };

  std::map<PeerKey, Seen> seen_;
  Ask ask_;
  TimePoint next_look_{0};
};

}  // namespace potluck
