#include "coordinator/serving/http/cors.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(CorsPolicy, AllowsPagesOfThisMachine) {
  const CorsPolicy policy;
  for (const char* origin : {"http://localhost", "http://localhost:3000", "https://127.0.0.1:8443",
                             "http://[::1]:5173", "http://app.localhost:80"}) {
    EXPECT_TRUE(policy.allows(origin)) << origin;
  }
  for (const char* origin :
       {"https://example.org", "http://localhost.example.org", "http://localhost:80.example.org",
        "http://127.0.0.1.example.org", "http://localhost:", "null", "", "ftp://localhost",
        "http://localhost@example.org"}) {
    EXPECT_FALSE(policy.allows(origin)) << origin;
  }
}

TEST(CorsPolicy, AllowsWhatItIsTold) {
  const CorsPolicy policy({"https://chat.example.org"});
  EXPECT_TRUE(policy.allows("https://chat.example.org"));
  EXPECT_FALSE(policy.allows("https://other.example.org"));
  EXPECT_TRUE(CorsPolicy({"*"}).allows("https://other.example.org"));
}

TEST(CorsPolicy, ReflectsTheOriginInAnswers) {
  const CorsPolicy policy;
  EXPECT_TRUE(policy.headers({}).empty());
  const HttpHeaders allowed = policy.headers({{"Origin", "http://localhost:3000"}});
  EXPECT_EQ(*find_header(allowed, "access-control-allow-origin"), "http://localhost:3000");
  EXPECT_EQ(*find_header(allowed, "vary"), "Origin");
  const HttpHeaders refused = policy.headers({{"Origin", "https://example.org"}});
  EXPECT_EQ(find_header(refused, "access-control-allow-origin"), nullptr);
}

TEST(CorsPolicy, AnswersWhatBrowsersAskBeforehand) {
  const CorsPolicy policy;
  const HttpResponse allowed = policy.preflight(
      {{"Origin", "http://localhost"}, {"Access-Control-Request-Headers", "x-a, x-b"}});
  EXPECT_EQ(allowed.status, 204);
  EXPECT_EQ(*find_header(allowed.headers, "access-control-allow-headers"), "x-a, x-b");
  EXPECT_NE(find_header(allowed.headers, "access-control-allow-methods"), nullptr);
  EXPECT_TRUE(policy.preflight({{"Origin", "https://example.org"}}).headers.empty());
}

}  // namespace
}  // namespace potluck
