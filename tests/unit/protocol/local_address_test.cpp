#include "protocol/local_address.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(LocalAddress, LoopbackIsReachedByLoopback) {
  Result<std::string> address = local_address_towards("tcp://127.0.0.1:7700");
  ASSERT_TRUE(address.ok()) << address.error().message;
  EXPECT_EQ(*address, "127.0.0.1");
}

TEST(LocalAddress, NonsenseIsAnError) {
  for (const char* endpoint : {"", "tcp://", "127.0.0.1:7700", "tcp://127.0.0.1"}) {
    EXPECT_FALSE(local_address_towards(endpoint).ok()) << endpoint;
  }
  Result<std::string> unknown = local_address_towards("tcp://no.such.host.invalid:1");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("no.such.host.invalid"), std::string::npos);
}

}  // namespace
}  // namespace potluck
