#include "worker/address_watch.h"

#include <gtest/gtest.h>

#include "tests/support/numbered_key.h"

namespace potluck::test {
namespace {

class AddressWatchTest : public testing::Test {
 protected:
  std::vector<PeerKey> look(Duration after = AddressWatch::kInterval) {
    now += after;
    return watch.look(endpoints, now);
  }

  std::map<std::string, std::string> local;  // by endpoint; none: no way there
  AddressWatch watch{[this](const std::string& endpoint) -> Result<std::string> {
    auto found = local.find(endpoint);
    if (found == local.end()) return Error{ErrorCode::kIo, "unreachable"};
    return found->second;
  }};
  std::map<PeerKey, std::string> endpoints = {{numbered_key(1), "one"}, {numbered_key(2), "two"}};
  TimePoint now{0};
};

using Moved = std::vector<PeerKey>;

TEST_F(AddressWatchTest, TellsOfAChangeOnce) {
  local = {{"one", "10.0.0.1"}, {"two", "10.0.0.1"}};
  EXPECT_EQ(look(), Moved());
  local["two"] = "10.0.0.9";
  EXPECT_EQ(look(AddressWatch::kInterval / 2), Moved());  // not yet
  EXPECT_EQ(look(), Moved{numbered_key(2)});
  EXPECT_EQ(look(), Moved());
  EXPECT_EQ(watch.next_look(), now + AddressWatch::kInterval);
}

TEST_F(AddressWatchTest, ALinkThatIsGoneAndBackIsNoChange) {
  local = {{"one", "10.0.0.1"}};
  look();
  local.clear();
  EXPECT_EQ(look(), Moved());
  local = {{"one", "10.0.0.1"}};
  EXPECT_EQ(look(), Moved());
  local.clear();
  look();
  local = {{"one", "10.0.0.2"}};  // back with another address
  EXPECT_EQ(look(), Moved{numbered_key(1)});
}

TEST_F(AddressWatchTest, AnotherEndpointOfTheSameCoordinatorMayBeReachedFromAnotherAddress) {
  local = {{"one", "10.0.0.1"}, {"elsewhere", "192.168.0.1"}};
  look();
  endpoints[numbered_key(1)] = "elsewhere";
  EXPECT_EQ(look(), Moved());
  local["elsewhere"] = "192.168.0.2";
  EXPECT_EQ(look(), Moved{numbered_key(1)});
}

}  // namespace
}  // namespace potluck::test
