// Answers of /v1/chat/completions, from scripted events.
#include "coordinator/serving/http/openai_chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using nlohmann::json;
using test::finished;
using test::said;

OpenAiRequest chat_request(size_t choices, bool logprobs = false, bool usage = false) {
  OpenAiRequest request;
  request.choices.resize(choices);
  request.choices_per_prompt = choices;
  request.logprobs = logprobs;
  request.include_usage = usage;
  return request;
}

json chat_whole(const std::vector<CompletionEvent>& events, bool logprobs = false) {
  ChatBodyWriter writer(test::sample_identity(), chat_request(1, logprobs));
  std::string bytes;
  for (const CompletionEvent& event : events) {
    EXPECT_FALSE(writer.done());
    bytes += writer.take(0, event);
  }
  EXPECT_TRUE(writer.done());
  return json::parse(bytes);
}

std::vector<json> chat_stream(const std::vector<CompletionEvent>& events, bool logprobs = false,
                              bool usage = false) {
  ChatStreamWriter writer(test::sample_identity(), chat_request(1, logprobs, usage));
  std::string bytes;
  for (const CompletionEvent& event : events) bytes += writer.take(0, event);
  EXPECT_TRUE(writer.done());
  return test::stream_events(bytes);
}

ToolCall call(std::string id, JsonValue arguments) {
  return {std::move(id), "look", std::move(arguments)};
}

const std::vector<CompletionEvent>& hello() {
  static const std::vector<CompletionEvent> events{
      CompletionAdmitted{10}, CompletionProgress{5, 10}, said("Hel"), said("lo \xE2\x82\xAC"),
      finished(FinishReason::kStop)};
  return events;
}

TEST(OpenAiChat, AWholeAnswer) {
  const json answer = chat_whole(hello());
  EXPECT_EQ(answer["id"], "id-1");
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_EQ(answer["created"], 1'800'000'000);
  EXPECT_EQ(answer["model"], "taleteller");
  EXPECT_EQ(answer["system_fingerprint"], "potluck-1");
  EXPECT_EQ(answer["choices"], json::parse(R"([{"index": 0, "message": {"role": "assistant",
      "content": "Hello €", "refusal": null}, "logprobs": null, "finish_reason": "stop"}])"));
  EXPECT_EQ(answer["usage"], json::parse(R"({"prompt_tokens": 10, "completion_tokens": 3,
      "total_tokens": 13, "prompt_tokens_details": {"cached_tokens": 4}})"));
  EXPECT_EQ(answer["timings"]["prompt_n"], 6);
  EXPECT_EQ(answer["timings"]["predicted_per_second"], 12.0);
}

TEST(OpenAiChat, AStreamBeginsWithTheRoleAndEndsWithDone) {
  const std::vector<json> events = chat_stream(hello());
  ASSERT_EQ(events.size(), 5U);
  EXPECT_EQ(events[0]["choices"], json::parse(R"([{"index": 0, "delta": {"role": "assistant",
      "content": ""}, "logprobs": null, "finish_reason": null}])"));
  EXPECT_EQ(events[1]["choices"][0]["delta"], json::parse(R"({"content": "Hel"})"));
  EXPECT_EQ(events[2]["choices"][0]["delta"], json::parse(R"({"content": "lo €"})"));
  EXPECT_EQ(events[3]["choices"], json::parse(R"([{"index": 0, "delta": {}, "logprobs": null,
      "finish_reason": "stop"}])"));
  EXPECT_TRUE(events[4].is_null());
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(events[i]["id"], "id-1");
    EXPECT_EQ(events[i]["object"], "chat.completion.chunk");
    EXPECT_EQ(events[i]["created"], 1'800'000'000);
    EXPECT_FALSE(events[i].contains("usage"));
  }
}

TEST(OpenAiChat, TheUsageChunkHasNoChoicesButTheMember) {
  const std::vector<json> events = chat_stream(hello(), false, true);
  ASSERT_EQ(events.size(), 6U);
  EXPECT_TRUE(events[0]["usage"].is_null());
  EXPECT_EQ(events[4]["choices"], json::array());
  EXPECT_EQ(events[4]["usage"]["total_tokens"], 13);
  EXPECT_EQ(events[4]["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
  EXPECT_TRUE(events[5].is_null());
}

TEST(OpenAiChat, TellsHowMuchOfThePromptIsComputedWhereThatIsWanted) {
  OpenAiRequest request = chat_request(1);
  request.return_progress = true;
  ChatStreamWriter writer(test::sample_identity(), request);
  std::string bytes;
  for (const CompletionEvent& event : hello()) bytes += writer.take(0, event);
  const auto events = test::stream_events(bytes);
  EXPECT_EQ(events[1]["prompt_progress"], (json{{"total", 10}, {"processed", 5}}));
  EXPECT_EQ(events[1]["choices"][0]["delta"], json::object());
  for (const json& event : chat_stream(hello())) EXPECT_FALSE(event.contains("prompt_progress"));
}

TEST(OpenAiChat, AStreamWithoutAdmissionHasItsRoleToo) {
  const std::vector<json> events = chat_stream({said("x"), finished(FinishReason::kStop)});
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(chat_stream({finished(FinishReason::kStop)}).size(), 3U);
}

TEST(OpenAiChat, ReasonsHaveTheirNames) {
  const std::pair<FinishReason, const char*> cases[] = {{FinishReason::kStop, "stop"},
                                                        {FinishReason::kStopString, "stop"},
                                                        {FinishReason::kLength, "length"}};
  for (const auto& [reason, name] : cases) {
    EXPECT_EQ(chat_whole({said("x"), finished(reason)})["choices"][0]["finish_reason"], name);
    EXPECT_EQ(chat_stream({said("x"), finished(reason)})[2]["choices"][0]["finish_reason"], name);
  }
}

TEST(OpenAiChat, ToolCallsHaveIndexAndType) {
  const JsonValue object = test::json_value(R"({"city": "Oslo"})");
  const CompletionEvent first = CompletionDelta{{{}, {}, {call("c1", object)}}, {}};
  const CompletionEvent second =
      CompletionDelta{{{}, {}, {call("c2", JsonValue{std::string("{broken")})}}, {}};
  const std::vector<CompletionEvent> events{CompletionAdmitted{1}, first, second,
                                            finished(FinishReason::kToolCalls)};
  const json choice = chat_whole(events)["choices"][0];
  EXPECT_TRUE(choice["message"]["content"].is_null());
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["message"]["tool_calls"], json::parse(R"([
      {"id": "c1", "type": "function",
       "function": {"name": "look", "arguments": "{\"city\": \"Oslo\"}"}},
      {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "{broken"}}])"));

  const std::vector<json> chunks = chat_stream(events);
  ASSERT_EQ(chunks.size(), 5U);
  EXPECT_EQ(chunks[1]["choices"][0]["delta"], json::parse(R"({"tool_calls": [{"index": 0,
      "id": "c1", "type": "function",
      "function": {"name": "look", "arguments": "{\"city\": \"Oslo\"}"}}]})"));
  EXPECT_EQ(chunks[2]["choices"][0]["delta"]["tool_calls"][0]["index"], 1);
  EXPECT_EQ(chunks[3]["choices"][0]["finish_reason"], "tool_calls");
}

TEST(OpenAiChat, TextBesideCallsIsKept) {
  const CompletionEvent both =
      CompletionDelta{{{}, "let me look", {call("c1", JsonValue{JsonValue::Object{}})}}, {}};
  const json message =
      chat_whole({both, finished(FinishReason::kToolCalls)})["choices"][0]["message"];
  EXPECT_EQ(message["content"], "let me look");
  EXPECT_EQ(message["tool_calls"].size(), 1U);
  const auto chunks = chat_stream({both, finished(FinishReason::kToolCalls)});
  ASSERT_EQ(chunks.size(), 5U);
  EXPECT_EQ(chunks[1]["choices"][0]["delta"]["content"], "let me look");
  EXPECT_EQ(chunks[2]["choices"][0]["delta"]["tool_calls"].size(), 1U);
}

TEST(OpenAiChat, ReasoningHasAMemberOfItsOwn) {
  const std::vector<CompletionEvent> events{CompletionDelta{{"hm", {}, {}}, {}}, said("yes"),
                                            finished(FinishReason::kStop)};
  const json message = chat_whole(events)["choices"][0]["message"];
  EXPECT_EQ(message["reasoning_content"], "hm");
  EXPECT_EQ(message["reasoning"], "hm");
  EXPECT_EQ(message["content"], "yes");
  const auto chunks = chat_stream(events);
  EXPECT_EQ(chunks[1]["choices"][0]["delta"],
            json::parse(R"({"reasoning_content": "hm", "reasoning": "hm"})"));
  EXPECT_FALSE(chat_whole(hello())["choices"][0]["message"].contains("reasoning_content"));
}

TEST(OpenAiChat, LogprobsComeWithTheirText) {
  CompletionDelta held{{}, {{{"\xE2\x82", -1.5}, {{"\xE2\x82", -1.5}, {"a", -2}}}}};
  CompletionDelta rest{{{}, "€!", {}}, {{{"\xAC", -0.5}, {}}, {{"!", -0.25}, {}}}};
  const std::vector<CompletionEvent> events{CompletionAdmitted{1}, held, rest,
                                            finished(FinishReason::kStop)};
  const json content = chat_whole(events, true)["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 3U);
  std::string text;
  for (const json& item : content) text += item["token"].get<std::string>();
  EXPECT_EQ(text, "€!");
  EXPECT_EQ(content[0]["bytes"], json::parse("[226, 130]"));
  EXPECT_EQ(content[0]["logprob"], -1.5);
  EXPECT_EQ(content[0]["top_logprobs"].size(), 2U);
  EXPECT_EQ(content[0]["top_logprobs"][1], json::parse(R"({"token": "a", "logprob": -2.0,
      "bytes": [97]})"));
  EXPECT_EQ(content[2]["top_logprobs"], json::array());

  const auto chunks = chat_stream(events, true);
  ASSERT_EQ(chunks.size(), 5U);
  EXPECT_EQ(chunks[1]["choices"][0]["delta"]["content"], "");
  EXPECT_EQ(chunks[1]["choices"][0]["logprobs"]["content"].size(), 1U);
  EXPECT_EQ(chunks[2]["choices"][0]["logprobs"]["content"][0]["token"], "€");
}

TEST(OpenAiChat, SeveralChoicesShareAStream) {
  ChatStreamWriter writer(test::sample_identity(), chat_request(2, false, true));
  std::string bytes = writer.take(1, CompletionAdmitted{10});
  bytes += writer.take(0, CompletionAdmitted{10});
  bytes += writer.take(1, said("b"));
  bytes += writer.take(0, said("a"));
  bytes += writer.take(1, finished(FinishReason::kLength));
  EXPECT_FALSE(writer.done());
  bytes += writer.take(0, finished(FinishReason::kStop));
  EXPECT_TRUE(writer.done());
  const auto events = test::stream_events(bytes);
  ASSERT_EQ(events.size(), 8U);
  EXPECT_EQ(events[0]["choices"][0]["index"], 1);
  EXPECT_EQ(events[1]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(events[4]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(events[6]["usage"]["prompt_tokens"], 10);  // shared
  EXPECT_EQ(events[6]["usage"]["completion_tokens"], 6);
}

TEST(OpenAiChat, SeveralChoicesInOneAnswer) {
  ChatBodyWriter writer(test::sample_identity(), chat_request(2));
  EXPECT_EQ(writer.take(1, said("b")), "");
  EXPECT_EQ(writer.take(1, finished(FinishReason::kStop)), "");
  EXPECT_EQ(writer.take(0, said("a")), "");
  const json answer = json::parse(writer.take(0, finished(FinishReason::kStop)));
  EXPECT_EQ(answer["choices"][0]["message"]["content"], "a");
  EXPECT_EQ(answer["choices"][1]["message"]["content"], "b");
  EXPECT_EQ(answer["choices"][1]["index"], 1);
}

TEST(OpenAiChat, AStreamThatFailsSaysWhyWithoutAName) {
  const ChatStreamWriter writer(test::sample_identity(), chat_request(1));
  const auto events = test::stream_events(writer.failure({500, "server_error", "it broke"}));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0]["error"]["message"], "it broke");
}

}  // namespace
}  // namespace potluck
