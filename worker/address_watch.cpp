#include "worker/address_watch.h"

#include <utility>

namespace potluck {

std::vector<PeerKey> AddressWatch::look(const std::map<PeerKey, std::string>& endpoints,
                                        TimePoint now) {
  if (now < next_look_) return {};
  next_look_ = now + kInterval;
  std::vector<PeerKey> moved;
  for (const auto& [peer, endpoint] : endpoints) {
    Result<std::string> address = ask_(endpoint);
    // Without a way there, nothing is gained by trying; the old address may well come back.
    if (!address) continue;
    Seen& last = seen_[peer];
    if (last.endpoint == endpoint && last.address != *address) moved.push_back(peer);
    last = {endpoint, std::move(*address)};
  }
  std::erase_if(seen_, [&](const auto& entry) { return !endpoints.contains(entry.first); });
  return moved;
}

}  // namespace potluck
