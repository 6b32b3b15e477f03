#include "coordinator/serving/http/page_origin.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(PageOrigin, KnowsTheNamesOfThisMachine) {
  for (const char* host : {"localhost", "LocalHost:8080", "127.0.0.1:1", "127.1.2.3", "[::1]",
                           "[::1]:8080", "potluck.localhost:80"}) {
    EXPECT_TRUE(is_this_machine(host)) << host;
  }
  for (const char* host :
       {"", "example.org", "localhost.example.org", "127.0.0.1.example.org:80", "127.example.org",
        "128.0.0.1", "192.168.1.5:8080", "notlocalhost", "[::2]:1", ":8080"}) {
    EXPECT_FALSE(is_this_machine(host)) << host;
  }
}

// A page of the internet whose name was made to lead here.
TEST(PageOrigin, WithoutAKeyTheServerIsCalledByThisMachinesName) {
  EXPECT_FALSE(origin_fault({{"Host", "localhost:8080"}}, false));
  EXPECT_TRUE(origin_fault({{"Host", "rebound.example.org:8080"}}, false));
  EXPECT_FALSE(origin_fault({{"Host", "pool.example.org"}}, true));
  EXPECT_TRUE(origin_fault({}, false));
  EXPECT_TRUE(origin_fault({}, true));
}

TEST(PageOrigin, OtherPagesAreRefused) {
  const auto fault = [](const char* origin, bool proven = false) {
    return origin_fault({{"Host", "localhost:8080"}, {"Origin", origin}}, proven).has_value();
  };
  EXPECT_FALSE(fault("http://localhost:8080"));
  EXPECT_FALSE(fault("https://LOCALHOST:8080"));
  for (const char* origin : {"http://localhost:3000", "http://localhost", "https://example.org",
                             "null", "", "localhost:8080"}) {
    EXPECT_TRUE(fault(origin)) << origin;
    EXPECT_TRUE(fault(origin, true)) << origin;
  }
}

TEST(PageOrigin, BelievesTheBrowserThatAnotherSiteAsks) {
  const auto fault = [](const char* site) {
    return origin_fault({{"Host", "localhost"}, {"Sec-Fetch-Site", site}}, false).has_value();
  };
  EXPECT_FALSE(fault("same-origin"));
  EXPECT_FALSE(fault("none"));
  EXPECT_TRUE(fault("same-site"));
  EXPECT_TRUE(fault("cross-site"));
}

}  // namespace
}  // namespace potluck
