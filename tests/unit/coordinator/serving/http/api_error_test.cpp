#include "coordinator/serving/http/api_error.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

namespace potluck {
namespace {

using nlohmann::json;

json body_of(const ApiError& error) {
  return json::parse(error_response(error).body)["error"];
}

std::string header_of(const ApiError& error, std::string_view name) {
  const HttpResponse response = error_response(error);
  const std::string* value = find_header(response.headers, name);
  return value == nullptr ? "" : *value;
}

TEST(ApiError, HasTheFourMembersThatClientsRead) {
  EXPECT_EQ(body_of(invalid_request("n", "too many")), json::parse(R"({"message": "too many",
      "type": "invalid_request_error", "param": "n", "code": null})"));
  EXPECT_EQ(body_of({500, "server_error", "x"}), json::parse(R"({"message": "x",
      "type": "server_error", "param": null, "code": null})"));
  EXPECT_EQ(header_of({}, "content-type"), "application/json");
}

TEST(ApiError, FaultsOfTheServiceBecomeStatuses) {
  const auto status = [](CompletionFault fault) { return from_failure({fault, "m"}).status; };
  EXPECT_EQ(status(CompletionFault::kInvalid), 400);
  EXPECT_EQ(status(CompletionFault::kTooLong), 400);
  EXPECT_EQ(status(CompletionFault::kOverloaded), 429);
  EXPECT_EQ(status(CompletionFault::kUnavailable), 503);
  EXPECT_EQ(status(CompletionFault::kInternal), 500);
}

TEST(ApiError, APromptThatIsTooLongComesWithTheFigures) {
  const json error = body_of(from_failure({CompletionFault::kTooLong, "m", 5000, 4096}));
  EXPECT_EQ(error["type"], "exceed_context_size_error");
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["n_prompt_tokens"], 5000);
  EXPECT_EQ(error["n_ctx"], 4096);
}

TEST(ApiError, SaysWhenToTryAgainOrNotTo) {
  EXPECT_EQ(header_of(from_failure({CompletionFault::kOverloaded, "m", 0, 0, 7}), "retry-after"),
            "7");
  EXPECT_NE(header_of(from_failure({CompletionFault::kOverloaded, "m"}), "retry-after"), "");
  EXPECT_NE(header_of(unavailable("m", 0), "retry-after"), "");
  EXPECT_EQ(header_of(from_status(501, "m"), "x-should-retry"), "false");
  EXPECT_EQ(header_of(invalid_request("", "m"), "x-should-retry"), "");
}

TEST(ApiError, TextThatIsNoUtf8DoesNotBreakTheBody) {
  EXPECT_EQ(body_of(not_found("no \xFF here", "x"))["message"], "no \xEF\xBF\xBD here");
}

}  // namespace
}  // namespace potluck
