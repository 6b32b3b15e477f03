// Calls that are told while the model still writes their arguments, in the streams of each API.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/call_ids.h"
#include "coordinator/serving/http/anthropic_answer.h"
#include "coordinator/serving/http/ollama_answer.h"
#include "coordinator/serving/http/openai_chat.h"
#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using nlohmann::json;
using test::finished;

// Two calls, as an AnswerStream gives them; the arguments of the second one are no JSON.
std::vector<CompletionEvent> two_calls() {
  std::vector<AnswerPiece> pieces(4);
  pieces[0].growth = {{true, {}, "look", "{\"at\": "}};
  pieces[1].growth = {{false, {}, {}, "\"x\"}"}};
  pieces[1].calls = {whole_call("look", "{\"at\": \"x\"}")};
  pieces[2].growth = {{true, {}, "wait", "for"}, {false, {}, {}, " it"}};
  pieces[3].calls = {whole_call("wait", "for it")};
  CallIds ids;
  uint64_t count = 6;
  std::vector<CompletionEvent> events{CompletionAdmitted{10}};
  for (AnswerPiece& piece : pieces) {
    ids.give(&piece, &count);
    events.push_back(CompletionDelta{std::move(piece)});
  }
  EXPECT_EQ(count, 8U);
  events.push_back(finished(FinishReason::kToolCalls));
  return events;
}

std::string stream_of(AnswerWriter& writer) {
  std::string bytes;
  for (const CompletionEvent& event : two_calls()) bytes += writer.take(0, event);
  EXPECT_TRUE(writer.done());
  return bytes;
}

TEST(GrowingCalls, InAStreamOfOpenAi) {
  OpenAiRequest request;
  request.choices.resize(1);
  request.choices_per_prompt = 1;
  ChatStreamWriter writer(test::sample_identity(), request);
  std::vector<json> told;
  std::string reason;
  for (const json& event : test::stream_events(stream_of(writer))) {
    if (!event.is_object()) continue;
    const json& choice = event["choices"][0];
    if (choice["delta"].contains("tool_calls")) {
      for (const json& call : choice["delta"]["tool_calls"]) told.push_back(call);
    }
    if (choice["finish_reason"].is_string()) reason = choice["finish_reason"];
  }
  EXPECT_EQ(reason, "tool_calls");
  ASSERT_EQ(told.size(), 4U);
  EXPECT_EQ(told[0], json::parse(R"({"index": 0, "id": "call_7", "type": "function",
      "function": {"name": "look", "arguments": "{\"at\": "}})"));
  EXPECT_EQ(told[1], json::parse(R"({"index": 0, "function": {"arguments": "\"x\"}"}})"));
  EXPECT_EQ(told[2], json::parse(R"({"index": 1, "id": "call_8", "type": "function",
      "function": {"name": "wait", "arguments": "for"}})"));
  EXPECT_EQ(told[3], json::parse(R"({"index": 1, "function": {"arguments": " it"}})"));
}

TEST(GrowingCalls, AreWholeInAWholeAnswer) {
  OpenAiRequest request;
  request.choices.resize(1);
  request.choices_per_prompt = 1;
  ChatBodyWriter writer(test::sample_identity(), request);
  const json calls = json::parse(stream_of(writer))["choices"][0]["message"]["tool_calls"];
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0]["id"], "call_7");
  EXPECT_EQ(calls[0]["function"]["arguments"], R"({"at": "x"})");
  EXPECT_EQ(calls[1]["id"], "call_8");
  EXPECT_EQ(calls[1]["function"]["arguments"], "for it");
}

// An input is an object: it is told once it is known to be one.
TEST(GrowingCalls, InAStreamOfAnthropic) {
  AnthropicStreamWriter writer(test::sample_identity());
  std::vector<std::string> parts;
  for (const json& event : test::named_events(stream_of(writer))) {
    if (event["type"] == "content_block_start") parts.push_back(event["content_block"]["id"]);
    if (event["type"] == "content_block_delta") parts.push_back(event["delta"]["partial_json"]);
    if (event["type"] == "content_block_stop") parts.emplace_back("stop");
  }
  EXPECT_THAT(parts, testing::ElementsAre("call_7", R"({"at": "x"})", "stop", "call_8",
                                          R"({"arguments": "for it"})", "stop"));
}

TEST(GrowingCalls, AsBlocks) {
  AnswerBlocks blocks;
  for (const CompletionEvent& event : two_calls()) {
    if (const auto* delta = std::get_if<CompletionDelta>(&event)) blocks.take(*delta, nullptr);
  }
  blocks.finish(nullptr);
  const ChatMessage message = blocks.message();
  ASSERT_EQ(message.tool_calls.size(), 2U);
  EXPECT_EQ(message.tool_calls[0].id, "call_7");
  EXPECT_EQ(write_json(message.tool_calls[0].arguments), R"({"at": "x"})");
  EXPECT_EQ(*message.tool_calls[1].arguments.text(), "for it");
}

// One that was begun, and that the end of the answer cut off, is there as far as it came.
TEST(GrowingCalls, CutOff) {
  AnswerBlocks blocks;
  CompletionDelta delta;
  delta.piece.growth = {{true, "call_1", "look", "{\"at\": "}};
  blocks.take(delta, nullptr);
  blocks.finish(nullptr);
  ASSERT_EQ(blocks.blocks().size(), 1U);
  EXPECT_EQ(*blocks.blocks()[0].call.arguments.text(), "{\"at\": ");
}

}  // namespace
}  // namespace potluck
