// Answers of /v1/messages, from scripted events.
#include "coordinator/serving/http/anthropic_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using nlohmann::json;
using test::finished;
using test::said;

json anthropic_whole(const std::vector<CompletionEvent>& events) {
  AnthropicBodyWriter writer(test::sample_identity());
  return json::parse(test::written(writer, events));
}

std::vector<json> anthropic_stream(const std::vector<CompletionEvent>& events) {
  AnthropicStreamWriter writer(test::sample_identity());
  return test::named_events(test::written(writer, events));
}

const std::vector<CompletionEvent>& anthropic_everything() {
  static const std::vector<CompletionEvent> events{CompletionAdmitted{10},
                                                   CompletionProgress{5, 10},
                                                   test::thought("let "),
                                                   test::thought("me"),
                                                   said("I "),
                                                   said("look"),
                                                   test::called("c1", R"({"at": 1})"),
                                                   test::called("c2", R"("broken")"),
                                                   finished(FinishReason::kToolCalls)};
  return events;
}

TEST(AnthropicAnswer, AWholeAnswer) {
  const json answer = anthropic_whole(anthropic_everything());
  EXPECT_EQ(answer["id"], "id-1");
  EXPECT_EQ(answer["type"], "message");
  EXPECT_EQ(answer["role"], "assistant");
  EXPECT_EQ(answer["model"], "taleteller");
  EXPECT_EQ(answer["stop_reason"], "tool_use");
  EXPECT_TRUE(answer["stop_sequence"].is_null());
  EXPECT_EQ(answer["content"], json::parse(R"([
      {"type": "thinking", "thinking": "let me", "signature": "potluck"},
      {"type": "text", "text": "I look"},
      {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}},
      {"type": "tool_use", "id": "c2", "name": "look", "input": {"arguments": "broken"}}])"));
  EXPECT_EQ(answer["usage"], json::parse(R"({"input_tokens": 6, "cache_creation_input_tokens": 0,
      "cache_read_input_tokens": 4, "output_tokens": 3})"));
}

TEST(AnthropicAnswer, AStreamTellsEachBlockFromItsStartToItsStop) {
  const std::vector<json> events = anthropic_stream(anthropic_everything());
  EXPECT_THAT(
      test::types_of(events),
      testing::ElementsAre("message_start", "ping",                                              //
                           "content_block_start", "content_block_delta", "content_block_delta",  //
                           "content_block_delta", "content_block_stop",                          //
                           "content_block_start", "content_block_delta", "content_block_delta",  //
                           "content_block_stop",                                                 //
                           "content_block_start", "content_block_delta", "content_block_stop",   //
                           "content_block_start", "content_block_delta", "content_block_stop",   //
                           "message_delta", "message_stop"));
  const json& message = events[0]["message"];
  EXPECT_EQ(message["content"], json::array());
  EXPECT_TRUE(message["stop_reason"].is_null());
  EXPECT_EQ(message["usage"]["input_tokens"], 10);
  EXPECT_EQ(events[2]["content_block"],
            json::parse(R"({"type": "thinking", "thinking": "", "signature": ""})"));
  EXPECT_EQ(events[3]["delta"], json::parse(R"({"type": "thinking_delta", "thinking": "let "})"));
  EXPECT_EQ(events[5]["delta"], json::parse(R"({"type": "signature_delta",
      "signature": "potluck"})"));
  EXPECT_EQ(events[7]["index"], 1);
  EXPECT_EQ(events[7]["content_block"], json::parse(R"({"type": "text", "text": ""})"));
  EXPECT_EQ(events[9]["delta"], json::parse(R"({"type": "text_delta", "text": "look"})"));
  EXPECT_EQ(events[11]["content_block"],
            json::parse(R"({"type": "tool_use", "id": "c1", "name": "look", "input": {}})"));
  EXPECT_EQ(events[12]["delta"]["type"], "input_json_delta");
  EXPECT_EQ(events[12]["delta"]["partial_json"], R"({"at": 1})");
  EXPECT_EQ(events[17]["delta"], json::parse(R"({"stop_reason": "tool_use",
      "stop_sequence": null})"));
  EXPECT_EQ(events[17]["usage"]["cache_read_input_tokens"], 4);
  EXPECT_EQ(events[17]["usage"]["output_tokens"], 3);
}

TEST(AnthropicAnswer, ReasonsHaveTheirNames) {
  EXPECT_EQ(anthropic_whole({said("x"), finished(FinishReason::kStop)})["stop_reason"], "end_turn");
  EXPECT_EQ(anthropic_whole({said("x"), finished(FinishReason::kLength)})["stop_reason"],
            "max_tokens");
  CompletionFinished stopped;
  stopped.reason = FinishReason::kStopString;
  stopped.stop_string = "END";
  const json answer = anthropic_whole({said("x"), stopped});
  EXPECT_EQ(answer["stop_reason"], "stop_sequence");
  EXPECT_EQ(answer["stop_sequence"], "END");
  EXPECT_EQ(anthropic_whole({finished(FinishReason::kStop)})["content"], json::array());
}

TEST(AnthropicAnswer, AStreamWithoutAdmissionBeginsToo) {
  EXPECT_THAT(test::types_of(anthropic_stream({finished(FinishReason::kStop)})),
              testing::ElementsAre("message_start", "ping", "message_delta", "message_stop"));
}

TEST(AnthropicAnswer, ErrorsHaveTheirTypes) {
  const std::pair<int, const char*> cases[] = {
      {400, "invalid_request_error"}, {401, "authentication_error"}, {404, "not_found_error"},
      {413, "request_too_large"},     {429, "rate_limit_error"},     {500, "api_error"},
      {503, "overloaded_error"}};
  for (const auto& [status, type] : cases) {
    const json body =
        json::parse(write_json(anthropic_error({status, "of another API", "it broke"})));
    EXPECT_EQ(body,
              (json{{"type", "error"}, {"error", {{"type", type}, {"message", "it broke"}}}}));
  }
  const ApiError long_one = from_failure({CompletionFault::kTooLong, "too long", 5000, 4096, 0});
  EXPECT_EQ(json::parse(write_json(anthropic_error(long_one)))["error"]["message"],
            "prompt is too long: 5000 tokens > 4096 maximum");
  const AnthropicStreamWriter writer(test::sample_identity());
  const auto events = test::named_events(writer.failure({500, "server_error", "it broke"}));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0]["error"]["type"], "api_error");
  EXPECT_THAT(std::string(writer.idle_comment()), testing::StartsWith("event: ping\n"));
}

}  // namespace
}  // namespace potluck
