// Who is to answer a request, and what keeps it in this pool.
#include "coordinator/serving/http/request_address.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

CompletionRequest addressed(const HttpHeaders& headers, const std::string& body,
                            bool key_stays = false) {
  CompletionRequest request;
  address(headers, test::json_value(body), key_stays, &request);
  return request;
}

TEST(RequestAddress, TheModelIsWhatTheClientWrote) {
  EXPECT_EQ(addressed({}, R"({"model": "large"})").model, "large");
  EXPECT_EQ(addressed({}, R"({"model": 7})").model, "");
  EXPECT_EQ(addressed({}, "{}").model, "");
  EXPECT_FALSE(addressed({}, "{}").local);
}

TEST(RequestAddress, AnythingButAClearNoKeepsItHere) {
  for (const char* value : {"1", "true", "yes", "", "FALSE", "0 0"}) {
    EXPECT_TRUE(addressed({{"X-Potluck-Local", value}}, "{}").local) << value;
  }
  for (const char* value : {"0", "false", " 0 "}) {
    EXPECT_FALSE(addressed({{"X-Potluck-Local", value}}, "{}").local) << value;
  }
  EXPECT_TRUE(addressed({{"x-potluck-local", "0"}, {"X-POTLUCK-LOCAL", "1"}}, "{}").local);
  for (const char* value : {"true", "1", "0", "\"false\"", "{}", "[]"}) {
    EXPECT_TRUE(addressed({}, std::string(R"({"potluck_local": )") + value + "}").local) << value;
  }
  for (const char* value : {"false", "null"}) {
    EXPECT_FALSE(addressed({}, std::string(R"({"potluck_local": )") + value + "}").local) << value;
  }
  // Said twice, the careful one counts.
  EXPECT_TRUE(addressed({}, R"({"potluck_local": true, "potluck_local": false})").local);
  EXPECT_TRUE(addressed({{"X-Potluck-Local", "0"}}, R"({"potluck_local": false})", true).local);
}

}  // namespace
}  // namespace potluck
