// What other servers say in their streams, and what they should not.
#include "coordinator/upstream/answer_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

using testing::HasSubstr;

struct Taken {
  AnswerPiece all;
  std::string fault;
  std::optional<AnswerEnd> end;
};

Taken take_all(UpstreamStyle style, const std::vector<std::string>& events) {
  Taken taken;
  const auto reader = AnswerEvents::make(style);
  for (const std::string& event : events) {
    auto piece = reader->take(event);
    if (!piece) {
      taken.fault = piece.error().message;
      break;
    }
    taken.all.reasoning += piece->reasoning;
    taken.all.content += piece->content;
    for (ToolCall& call : piece->calls) taken.all.calls.push_back(std::move(call));
    for (ToolCallGrowth& grown : piece->growth) taken.all.growth.push_back(std::move(grown));
  }
  taken.end = reader->end();
  return taken;
}

std::string delta(const std::string& members) {
  return R"({"choices": [{"index": 0, "delta": {)" + members + "}}]}";
}

TEST(OpenAiEvents, TextThoughtsCallsAndUsage) {
  const Taken taken = take_all(
      UpstreamStyle::kOpenAi,
      {delta(R"("role": "assistant", "content": "")"), delta(R"("reasoning_content": "hm")"),
       delta(R"("content": "well")"),
       delta(
           R"("tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}])"),
       delta(R"("tool_calls": [{"index": 0, "function": {"arguments": "{\"x\":"}}])"),
       delta(R"("tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}])"),
       delta(R"("tool_calls": [{"index": 1, "id": "b", "function": {"name": "g"}}])"),
       R"({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})",
       R"({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99}}})",
       "[DONE]", "anything"});
  EXPECT_EQ(taken.fault, "");
  EXPECT_EQ(taken.all.reasoning, "hm");
  EXPECT_EQ(taken.all.content, "well");
  ASSERT_EQ(taken.all.calls.size(), 2U);
  EXPECT_EQ(taken.all.calls[0].name, "f");
  EXPECT_EQ(*taken.all.calls[0].arguments.text(), "{\"x\": 1}");
  EXPECT_EQ(*taken.all.calls[1].arguments.text(), "{}");
  ASSERT_EQ(taken.all.growth.size(), 5U);
  EXPECT_TRUE(taken.all.growth[0].begins);
  ASSERT_TRUE(taken.end);
  EXPECT_EQ(taken.end->reason, FinishReason::kToolCalls);
  EXPECT_EQ(taken.end->usage.prompt_tokens, 12U);
  EXPECT_EQ(taken.end->usage.cached_tokens, 12U);  // no more than there are
}

TEST(AnthropicEvents, TextThoughtsCallsAndUsage) {
  const Taken taken = take_all(
      UpstreamStyle::kAnthropic,
      {R"({"type": "ping"})",
       R"({"type": "message_start", "message": {"usage": {"input_tokens": 10, "cache_read_input_tokens": 4}}})",
       R"({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}})",
       R"({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}})",
       R"({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}})",
       R"({"type": "content_block_stop", "index": 0})",
       R"({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}})",
       R"({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "well"}})",
       R"({"type": "content_block_stop", "index": 1})",
       R"({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "a", "name": "f", "input": {}}})",
       R"({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}})",
       R"({"type": "content_block_stop", "index": 2})",
       R"({"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"}, "usage": {"output_tokens": 3}})",
       R"({"type": "message_stop"})"});
  EXPECT_EQ(taken.fault, "");
  EXPECT_EQ(taken.all.reasoning, "hm");
  EXPECT_EQ(taken.all.content, "well");
  ASSERT_EQ(taken.all.calls.size(), 1U);
  ASSERT_TRUE(taken.end);
  EXPECT_EQ(taken.end->reason, FinishReason::kStopString);
  EXPECT_EQ(taken.end->stop_string, "END");
  EXPECT_EQ(taken.end->usage.prompt_tokens, 14U);
  EXPECT_EQ(taken.end->usage.completion_tokens, 3U);
}

TEST(AnswerEvents, WhatIsNoAnswerIsAnError) {
  const auto fault = [](UpstreamStyle style, const std::vector<std::string>& events) {
    const Taken taken = take_all(style, events);
    EXPECT_FALSE(taken.end);
    return taken.fault;
  };
  const auto openai = UpstreamStyle::kOpenAi;
  EXPECT_THAT(fault(openai, {"{"}), HasSubstr("no JSON object"));
  EXPECT_THAT(fault(openai, {"[]"}), HasSubstr("no JSON object"));
  EXPECT_THAT(fault(openai, {"{}"}), HasSubstr("without one choice"));
  EXPECT_THAT(fault(openai, {R"({"choices": [{}, {}]})"}), HasSubstr("without one choice"));
  EXPECT_THAT(fault(openai, {R"({"error": {"message": "sk-1"}})"}), HasSubstr("tells of an error"));
  EXPECT_THAT(fault(openai, {delta(R"("content": "a")"), "[DONE]"}), HasSubstr("in the middle"));
  EXPECT_THAT(fault(openai, {delta(R"("tool_calls": [{}])")}), HasSubstr("something else"));
  EXPECT_THAT(fault(openai, {delta(R"("tool_calls": [{"function": {}}])")}), HasSubstr("name"));
  const auto anthropic = UpstreamStyle::kAnthropic;
  EXPECT_THAT(fault(anthropic, {R"({"type": "content_block_stop"})"}), HasSubstr("before"));
  EXPECT_THAT(fault(anthropic, {R"({"type": "message_start"})"}), HasSubstr("without a message"));
  EXPECT_THAT(fault(anthropic, {R"({"type": "error"})"}), HasSubstr("tells of an error"));
  EXPECT_THAT(
      fault(anthropic, {R"({"type": "message_start", "message": {}})",
                        R"({"type": "content_block_delta", "delta": {"partial_json": "x"}})"}),
      HasSubstr("of no call"));
}

TEST(AnswerEvents, AnAnswerHasABound) {
  const std::string piece = delta("\"content\": \"" + std::string(1 << 20, 'x') + "\"");
  const Taken taken = take_all(UpstreamStyle::kOpenAi, std::vector<std::string>(20, piece));
  EXPECT_THAT(taken.fault, HasSubstr("too long"));
  std::vector<std::string> calls;
  for (int i = 0; i < 100; ++i) {
    calls.push_back(delta(R"("tool_calls": [{"index": )" + std::to_string(i) +
                          R"(, "function": {"name": "f"}}])"));
  }
  EXPECT_THAT(take_all(UpstreamStyle::kOpenAi, calls).fault, HasSubstr("too many tools"));
}

// Any bytes of a stranger: an error or an answer, and nothing else.
TEST(AnswerEvents, DamagedEventsDoNoHarm) {
  const std::string event =
      R"({"type": "content_block_delta", "choices": [{"index": 0, "delta": {"content": "a", "tool_calls": [{"index": 3, "id": "x", "function": {"name": "f", "arguments": "{}"}}]}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1e99, "completion_tokens": -4}})";
  const CounterRandom random(5);
  for (uint64_t round = 0; round < 20'000; ++round) {
    std::string text = event;
    for (uint64_t i = 0; i <= random.bits(round, 0) % 4; ++i) {
      const uint64_t bits = random.bits(round, i + 1);
      constexpr std::string_view kLikely = "[]{}\":,0-9.e\\u\xff\x00nt";
      text[(bits >> 8) % text.size()] = kLikely[bits % kLikely.size()];
    }
    for (const auto style : {UpstreamStyle::kOpenAi, UpstreamStyle::kAnthropic}) {
      take_all(style, {R"({"type": "message_start", "message": {}, "choices": []})", text, text});
    }
  }
}

}  // namespace
}  // namespace potluck
