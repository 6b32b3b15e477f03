#include "protocol/peer_routes.h"

#include <algorithm>

namespace potluck {

void PeerRoutes::heard(const PeerKey& key, const std::string& route) {
  Peer& peer = peers_[key];
  peer.heard_at = ++messages_;
  if (peer.routes.empty() || peer.routes.front() != route) {
    std::erase(peer.routes, route);
    peer.routes.insert(peer.routes.begin(), route);
    if (peer.routes.size() > kRoutes) peer.routes.pop_back();
  }
  // The newcomer is the one heard of last, so it is never the one to go.
  if (peers_.size() > max_peers_) forget_most_silent();
}

const std::string* PeerRoutes::best(const PeerKey& key) const {
  auto peer = peers_.find(key);
  return peer == peers_.end() ? nullptr : &peer->second.routes.front();
}

void PeerRoutes::drop_best(const PeerKey& key) {
  auto peer = peers_.find(key);
  if (peer == peers_.end()) return;
  std::vector<std::string>& routes = peer->second.routes;
  routes.erase(routes.begin());
  if (routes.empty()) peers_.erase(peer);
}

void PeerRoutes::forget_most_silent() {
  auto silent = std::min_element(peers_.begin(), peers_.end(), [](const auto& a, const auto& b) {
    return a.second.heard_at < b.second.heard_at;
  });
  peers_.erase(silent);
}

}  // namespace potluck
