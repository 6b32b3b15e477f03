// Requests as other servers take them, and what cannot be passed on.
#include "coordinator/upstream/upstream_request.h"

#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/upstream/upstream_samples.h"

namespace potluck {
namespace {

using nlohmann::json;

// A conversation with everything that there is.
CompletionRequest whole_chat() {
  Conversation conversation;
  conversation.messages = {test::chat_message("system", "be short"),
                           test::chat_message("user", "what time is it?"),
                           test::chat_message("assistant", ""), test::chat_message("tool", "noon"),
                           test::chat_message("user", "and now?")};
  conversation.messages[2].reasoning_content = "a clock";
  conversation.messages[2].tool_calls = {
      {"call_1", "clock", JsonValue{std::string(R"({"zone": "UTC"})")}}};
  conversation.messages[3].tool_call_id = "call_1";
  conversation.tools = {*parse_json(
      R"({"type": "function", "function": {"name": "clock", "description": "tells", "parameters": {"type": "object"}}})")};
  conversation.arguments.emplace_back("enable_thinking", JsonValue{true});
  CompletionRequest request;
  request.prompt = std::move(conversation);
  request.max_tokens = 77;
  request.sampling.temperature = 0;
  request.stop = {"END"};
  return request;
}

TEST(UpstreamRequest, AsOpenAiTakesIt) {
  const CompletionRequest request = whole_chat();
  EXPECT_EQ(unfit_part(request, UpstreamStyle::kOpenAi), "");
  const json body = json::parse(upstream_body(request, UpstreamStyle::kOpenAi, "large"));
  EXPECT_EQ(body["model"], "large");
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["max_tokens"], 77);
  EXPECT_EQ(body["temperature"], 0);
  EXPECT_FALSE(body.contains("top_p"));
  EXPECT_FALSE(body.contains("seed"));
  EXPECT_EQ(body["stop"], json({"END"}));
  EXPECT_EQ(body["messages"].size(), 5U);
  EXPECT_EQ(body["messages"][2]["tool_calls"][0]["function"]["arguments"], R"({"zone": "UTC"})");
  EXPECT_FALSE(body["messages"][2].contains("reasoning_content"));
  EXPECT_EQ(body["messages"][3]["tool_call_id"], "call_1");
  EXPECT_EQ(body["tools"][0]["function"]["name"], "clock");
}

TEST(UpstreamRequest, AsAnthropicTakesIt) {
  const CompletionRequest request = whole_chat();
  EXPECT_EQ(unfit_part(request, UpstreamStyle::kAnthropic), "");
  const json body = json::parse(upstream_body(request, UpstreamStyle::kAnthropic, "large"));
  EXPECT_EQ(body["system"], "be short");
  EXPECT_EQ(body["max_tokens"], 77);
  EXPECT_EQ(body["stop_sequences"], json({"END"}));
  // Turns alternate: the tool's result and what follows are the user's.
  ASSERT_EQ(body["messages"].size(), 3U);
  EXPECT_EQ(body["messages"][1]["role"], "assistant");
  EXPECT_EQ(body["messages"][1]["content"][0]["type"], "tool_use");
  EXPECT_EQ(body["messages"][1]["content"][0]["input"]["zone"], "UTC");
  EXPECT_EQ(body["messages"][2]["content"][0]["tool_use_id"], "call_1");
  EXPECT_EQ(body["messages"][2]["content"][1]["text"], "and now?");
  EXPECT_EQ(body["tools"][0]["input_schema"]["type"], "object");
}

TEST(UpstreamRequest, WhatCannotBePassedOnIsNamed) {
  const auto named = [](auto change, UpstreamStyle style = UpstreamStyle::kOpenAi) {
    CompletionRequest request = test::sample_chat();
    change(request);
    return unfit_part(request, style);
  };
  EXPECT_EQ(named([](auto& r) { r.prompt = std::string("once"); }), "prompt");
  EXPECT_EQ(named([](auto& r) { r.siblings = 1; }), "n");
  EXPECT_EQ(named([](auto& r) { r.top_logprobs = 3; }), "logprobs");
  EXPECT_EQ(named([](auto& r) { r.ignore_end = true; }), "ignore_eos");
  EXPECT_EQ(named([](auto& r) { r.sampling.top_k = 3; }), "top_k");
  EXPECT_EQ(named([](auto& r) { r.sampling.top_k = 3; }, UpstreamStyle::kAnthropic), "");
  EXPECT_EQ(named([](auto& r) { r.sampling.min_p = 0.1; }), "min_p");
  EXPECT_EQ(named([](auto& r) { r.sampling.presence_penalty = 1; }, UpstreamStyle::kAnthropic),
            "presence_penalty");
  EXPECT_EQ(named([](auto& r) { r.sampling.logit_bias.push_back({1, 2}); }), "logit_bias");
  const auto effort = [](auto& r) {
    std::get<Conversation>(r.prompt).arguments.emplace_back("reasoning_effort",
                                                            JsonValue{std::string("low")});
  };
  EXPECT_EQ(named(effort), "");
  EXPECT_THAT(named(effort, UpstreamStyle::kAnthropic), testing::HasSubstr("reasoning_effort"));
}

TEST(UpstreamRequest, TheModelIsTheOneThatIsNamed) {
  const Upstream upstream = test::sample_upstream();
  EXPECT_EQ(upstream_model(upstream, "larger"), "larger");
  EXPECT_EQ(upstream_model(upstream, "gpt"), "large");
}

}  // namespace
}  // namespace potluck
