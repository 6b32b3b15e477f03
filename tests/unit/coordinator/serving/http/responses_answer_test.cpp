// Answers of /v1/responses, from scripted events.
#include "coordinator/serving/http/responses_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using nlohmann::json;
using test::finished;
using test::said;

struct Kept {
  std::string json;
  ChatMessage message;
};

ResponsesAnswer sample(Kept* kept = nullptr) {
  ResponsesAnswer answer{test::sample_identity(), {{"store", JsonValue{true}}}, {}};
  answer.identity.id = "resp_1";
  if (kept == nullptr) return answer;
  answer.keep = [kept](const std::string& text, ChatMessage message) {
    *kept = {text, std::move(message)};
  };
  return answer;
}

json responses_whole(const std::vector<CompletionEvent>& events) {
  ResponsesBodyWriter writer(sample());
  return json::parse(test::written(writer, events));
}

std::vector<json> responses_stream(const std::vector<CompletionEvent>& events,
                                   Kept* kept = nullptr) {
  ResponsesStreamWriter writer(sample(kept));
  return test::named_events(test::written(writer, events));
}

const std::vector<CompletionEvent>& responses_everything() {
  static const std::vector<CompletionEvent> events{CompletionAdmitted{10},
                                                   test::thought("let "),
                                                   test::thought("me"),
                                                   said("I "),
                                                   said("look"),
                                                   test::called("c1", R"({"at": 1})"),
                                                   finished(FinishReason::kToolCalls)};
  return events;
}

TEST(ResponsesAnswer, AWholeAnswer) {
  const json answer = responses_whole(responses_everything());
  EXPECT_EQ(answer["id"], "resp_1");
  EXPECT_EQ(answer["object"], "response");
  EXPECT_EQ(answer["created_at"], 1'800'000'000);
  EXPECT_EQ(answer["status"], "completed");
  EXPECT_EQ(answer["store"], true);
  EXPECT_TRUE(answer["error"].is_null());
  EXPECT_EQ(answer["output"], json::parse(R"([
      {"id": "rs_1_0", "type": "reasoning", "summary": [], "status": "completed",
       "content": [{"type": "reasoning_text", "text": "let me"}]},
      {"id": "msg_1_1", "type": "message", "role": "assistant", "status": "completed",
       "content": [{"type": "output_text", "text": "I look", "annotations": [], "logprobs": []}]},
      {"id": "fc_1_2", "type": "function_call", "status": "completed", "call_id": "c1",
       "name": "look", "arguments": "{\"at\": 1}"}])"));
  EXPECT_EQ(answer["usage"], json::parse(R"({"input_tokens": 10,
      "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3,
      "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 13})"));
}

TEST(ResponsesAnswer, AnAnswerThatWasCutIsIncomplete) {
  const json answer = responses_whole({said("x"), finished(FinishReason::kLength)});
  EXPECT_EQ(answer["status"], "incomplete");
  EXPECT_EQ(answer["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(responses_stream({said("x"), finished(FinishReason::kLength)}).back()["type"],
            "response.incomplete");
}

TEST(ResponsesAnswer, AStreamTellsEachItemFromItsBeginningToItsEnd) {
  Kept kept;
  const std::vector<json> events = responses_stream(responses_everything(), &kept);
  EXPECT_THAT(test::types_of(events),
              testing::ElementsAre(
                  "response.created", "response.in_progress",                              //
                  "response.output_item.added", "response.content_part.added",             //
                  "response.reasoning_text.delta", "response.reasoning_text.delta",        //
                  "response.reasoning_text.done", "response.content_part.done",            //
                  "response.output_item.done",                                             //
                  "response.output_item.added", "response.content_part.added",             //
                  "response.output_text.delta", "response.output_text.delta",              //
                  "response.output_text.done", "response.content_part.done",               //
                  "response.output_item.done",                                             //
                  "response.output_item.added", "response.function_call_arguments.delta",  //
                  "response.function_call_arguments.done", "response.output_item.done",    //
                  "response.completed"));
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i]["sequence_number"], i);
  EXPECT_EQ(events[0]["response"]["status"], "in_progress");
  EXPECT_EQ(events[2]["item"]["content"], json::array());
  EXPECT_EQ(events[4]["item_id"], "rs_1_0");
  EXPECT_EQ(events[11]["delta"], "I ");
  EXPECT_EQ(events[11]["output_index"], 1);
  EXPECT_EQ(events[11]["content_index"], 0);
  EXPECT_EQ(events[13]["text"], "I look");
  EXPECT_EQ(events[14]["part"]["text"], "I look");
  EXPECT_EQ(events[16]["item"]["arguments"], "");
  EXPECT_EQ(events[18]["arguments"], R"({"at": 1})");
  EXPECT_EQ(events[19]["item"]["arguments"], R"({"at": 1})");
  EXPECT_EQ(events[20]["response"], responses_whole(responses_everything()));
  EXPECT_EQ(json::parse(kept.json), responses_whole(responses_everything()));
  EXPECT_EQ(kept.message.role, "assistant");
  EXPECT_EQ(*kept.message.content.text(), "I look");
  EXPECT_EQ(kept.message.reasoning_content, "let me");
  EXPECT_EQ(kept.message.tool_calls.size(), 1U);
}

CompletionEvent likely(std::string reasoning, std::string content, const char* token) {
  return CompletionDelta{{std::move(reasoning), std::move(content), {}},
                         {{{token, -0.5}, {{token, -0.5}, {"no", -2}}}},
                         {}};
}

TEST(ResponsesAnswer, TextHasTheLogprobsOfItsTokens) {
  const std::vector<CompletionEvent> events{likely("let", "", "let"), likely("", "", " hel"),
                                            likely("", " hello", "lo"), likely("", "!", "!"),
                                            finished(FinishReason::kStop)};
  const json entry = json::parse(R"({"token": "!", "logprob": -0.5, "bytes": [33], "top_logprobs": [
      {"token": "!", "logprob": -0.5, "bytes": [33]},
      {"token": "no", "logprob": -2, "bytes": [110, 111]}]})");
  const json logprobs = responses_whole(events)["output"][1]["content"][0]["logprobs"];
  ASSERT_EQ(logprobs.size(), 3U);
  EXPECT_EQ(logprobs[0]["token"], " hel");
  EXPECT_EQ(logprobs[1]["token"], "lo");
  EXPECT_EQ(logprobs[2], entry);
  json deltas = json::array();
  for (const json& event : responses_stream(events)) {
    if (event["type"] == "response.output_text.delta") deltas.push_back(event["logprobs"]);
    if (event["type"] == "response.output_text.done") {
      EXPECT_EQ(event["logprobs"], logprobs);
    }
  }
  ASSERT_EQ(deltas.size(), 2U);
  EXPECT_EQ(deltas[0], json::array({logprobs[0], logprobs[1]}));
  EXPECT_EQ(deltas[1], json::array({entry}));
}

TEST(ResponsesAnswer, AFailedStreamSaysSoInBothWays) {
  ResponsesStreamWriter writer(sample());
  writer.take(0, CompletionAdmitted{1});
  writer.take(0, said("x"));
  const auto events = test::named_events(writer.failure({500, "server_error", "it broke"}));
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0]["type"], "response.failed");
  EXPECT_EQ(events[0]["response"]["status"], "failed");
  EXPECT_EQ(events[0]["response"]["error"]["message"], "it broke");
  EXPECT_EQ(events[0]["sequence_number"], 5);
  EXPECT_EQ(events[1]["error"]["message"], "it broke");
}

}  // namespace
}  // namespace potluck
