// PeerRoutes: by which connection a peer is reached. Identity is the key; a routing id only names
// one connection, and a peer that connects anew gets a new one. The connection a key spoke on
// last is the one to answer on, under the authority of that key and no other. One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "protocol/keys.h"

namespace potluck {

class PeerRoutes {
 public:
  // At most so many peers are remembered; the one that was silent longest is forgotten first.
  explicit PeerRoutes(size_t max_peers) : max_peers_(max_peers) {}

  // A message of `key` came by `route`.
  void heard(const PeerKey& key, const std::string& route);
  // The best route to `key`; null if there is none.
  const std::string* best(const PeerKey& key) const;
  // The best route turned out to be gone; the next best takes its place.
  void drop_best(const PeerKey& key);
  size_t size() const { return peers_.size(); }

 private:
  // Late messages of an old connection may arrive after the first of a new one, so a few are kept.
  static constexpr size_t kRoutes = 3;
  struct Peer {
    std::vector<std::string> routes;  // the one heard of last in front
    uint64_t heard_at = 0;            // counts messages
  };

  void forget_most_silent();

  size_t max_peers_;
  uint64_t messages_ = 0;
  std::map<PeerKey, Peer> peers_;
};

}  // namespace potluck
