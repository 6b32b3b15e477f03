#include "protocol/peer_routes.h"

#include <gtest/gtest.h>

#include "tests/support/numbered_key.h"

namespace potluck {
namespace {

using test::numbered_key;

std::string best(const PeerRoutes& routes, const PeerKey& peer) {
  const std::string* route = routes.best(peer);
  return route == nullptr ? "none" : *route;
}

TEST(PeerRoutes, TheConnectionHeardOfLastIsUsed) {
  PeerRoutes routes(10);
  EXPECT_EQ(best(routes, numbered_key(1)), "none");
  routes.heard(numbered_key(1), "a");
  routes.heard(numbered_key(2), "x");
  routes.heard(numbered_key(1), "b");
  EXPECT_EQ(best(routes, numbered_key(1)), "b");
  EXPECT_EQ(best(routes, numbered_key(2)), "x");
  routes.heard(numbered_key(1), "a");
  EXPECT_EQ(best(routes, numbered_key(1)), "a");
}

TEST(PeerRoutes, AnotherKeyOnTheSameRouteChangesNothing) {
  PeerRoutes routes(10);
  routes.heard(numbered_key(1), "a");
  routes.heard(numbered_key(2), "a");
  routes.drop_best(numbered_key(2));
  EXPECT_EQ(best(routes, numbered_key(1)), "a");
}

TEST(PeerRoutes, ALateMessageOfAnOldConnectionLosesNobody) {
  PeerRoutes routes(10);
  routes.heard(numbered_key(1), "old");
  routes.heard(numbered_key(1), "new");
  routes.heard(numbered_key(1), "old");  // it was still queued
  routes.drop_best(numbered_key(1));     // that connection is gone
  EXPECT_EQ(best(routes, numbered_key(1)), "new");
  routes.drop_best(numbered_key(1));
  EXPECT_EQ(best(routes, numbered_key(1)), "none");
  routes.drop_best(numbered_key(1));
  EXPECT_EQ(routes.size(), 0u);
}

TEST(PeerRoutes, RemembersABoundedNumberOfRoutesAndPeers) {
  PeerRoutes routes(3);
  for (int i = 0; i < 100; ++i) routes.heard(numbered_key(1), std::to_string(i));
  int kept = 0;
  for (; routes.best(numbered_key(1)) != nullptr; ++kept) routes.drop_best(numbered_key(1));
  EXPECT_LE(kept, 4);
  for (uint8_t i = 1; i <= 3; ++i) routes.heard(numbered_key(i), "r");
  routes.heard(numbered_key(1), "r");
  routes.heard(numbered_key(4), "r");
  EXPECT_EQ(routes.size(), 3u);
  EXPECT_EQ(best(routes, numbered_key(2)), "none") << "it was silent longest";
  EXPECT_EQ(best(routes, numbered_key(1)), "r");
  EXPECT_EQ(best(routes, numbered_key(4)), "r");
}

}  // namespace
}  // namespace potluck
