// Requests of Anthropic's API as CompletionRequests.
#include "coordinator/serving/http/anthropic_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

AnthropicParsed anthropic_parsed(std::string_view body,
                                 const ServedModel& model = test::sample_model()) {
  return parse_anthropic_request(test::json_value(body), {model, true, {}, 7});
}

AnthropicRequest anthropic_request(std::string_view body) {
  AnthropicParsed result = anthropic_parsed(body);
  const auto* error = std::get_if<ApiError>(&result);
  EXPECT_EQ(error, nullptr) << error->message;
  return error != nullptr ? AnthropicRequest{} : std::get<AnthropicRequest>(std::move(result));
}

Conversation anthropic_conversation(std::string_view body) {
  return std::get<Conversation>(anthropic_request(body).request.prompt);
}

ApiError anthropic_error(std::string_view body) {
  AnthropicParsed result = anthropic_parsed(body);
  EXPECT_TRUE(std::holds_alternative<ApiError>(result)) << body;
  return std::holds_alternative<ApiError>(result) ? std::get<ApiError>(result) : ApiError{};
}

std::string text_of(const ChatMessage& message) {
  return message.content.text() != nullptr ? *message.content.text() : write_json(message.content);
}

// A request with these messages.
std::string with_messages(std::string_view messages, std::string_view more = "") {
  return fmt::format(R"({{"max_tokens": 9, "messages": {}{}}})", messages, more);
}

constexpr std::string_view kHello = R"([{"role": "user", "content": "hi"}])";

TEST(AnthropicRequest, TakesWhatItKnows) {
  const AnthropicRequest asked = anthropic_request(with_messages(
      kHello, R"(, "model": "claude", "temperature": 0.5, "top_p": 0.9, "top_k": 5, "stream": true,
              "stop_sequences": ["END"], "metadata": {"user_id": "ann"}, "service_tier": "auto")"));
  EXPECT_TRUE(asked.stream);
  EXPECT_EQ(asked.request.max_tokens, 9U);
  EXPECT_EQ(asked.request.sampling.temperature, 0.5F);
  EXPECT_EQ(asked.request.sampling.top_k, 5U);
  EXPECT_EQ(asked.request.sampling.seed, 7U);
  EXPECT_EQ(asked.request.stop, std::vector<std::string>{"END"});
  EXPECT_EQ(asked.request.user, "ann");
}

TEST(AnthropicRequest, TheSystemPromptIsTextOrBlocks) {
  const Conversation text =
      anthropic_conversation(with_messages(kHello, R"(, "system": "be brief")"));
  ASSERT_EQ(text.messages.size(), 2U);
  EXPECT_EQ(text.messages[0].role, "system");
  EXPECT_EQ(text_of(text.messages[0]), "be brief");
  const Conversation blocks = anthropic_conversation(with_messages(kHello, R"(, "system": [
      {"type": "text", "text": "x-anthropic-billing-header: cch=1;"},
      {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
      {"type": "text", "text": "b"}])"));
  EXPECT_EQ(text_of(blocks.messages[0]), "a\n\nb");
  EXPECT_EQ(anthropic_conversation(with_messages(kHello, R"(, "system": [])")).messages.size(), 1U);
}

TEST(AnthropicRequest, CallsAndResultsBecomeMessages) {
  const Conversation conversation = anthropic_conversation(with_messages(R"([
      {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "text", "text": "!"}]},
      {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "I look"},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}},
        {"type": "tool_use", "id": "t2", "name": "look", "input": {}}]},
      {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "t1", "content": "a tree"},
        {"type": "tool_result", "tool_use_id": "t2", "is_error": true,
         "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"type": "text", "text": "and now?"}]}])"));
  const auto& messages = conversation.messages;
  ASSERT_EQ(messages.size(), 5U);
  EXPECT_EQ(messages[0].content.array()->size(), 2U);
  EXPECT_EQ(messages[1].role, "assistant");
  EXPECT_EQ(text_of(messages[1]), "I look");
  EXPECT_EQ(messages[1].reasoning_content, "hm");
  ASSERT_EQ(messages[1].tool_calls.size(), 2U);
  EXPECT_EQ(messages[1].tool_calls[0].id, "t1");
  EXPECT_EQ(write_json(messages[1].tool_calls[0].arguments), R"({"at": 1})");
  EXPECT_EQ(messages[2].role, "tool");
  EXPECT_EQ(messages[2].tool_call_id, "t1");
  EXPECT_EQ(text_of(messages[2]), "a tree");
  EXPECT_EQ(text_of(messages[3]), "a\nb");
  EXPECT_EQ(messages[4].role, "user");
  EXPECT_EQ(text_of(messages[4]), "and now?");
}

TEST(AnthropicRequest, ACallAloneHasNoText) {
  const Conversation conversation = anthropic_conversation(with_messages(R"([
      {"role": "user", "content": "look"},
      {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "look"}]},
      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}])"));
  ASSERT_EQ(conversation.messages.size(), 3U);
  EXPECT_TRUE(conversation.messages[1].content.is_null());
  EXPECT_EQ(text_of(conversation.messages[2]), "");
}

TEST(AnthropicRequest, ToolsHaveTheFormThatTemplatesKnow) {
  constexpr std::string_view kTools = R"(, "tools": [{"name": "look", "description": "looks",
      "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
      {"type": "custom", "name": "go"}])";
  const Conversation conversation = anthropic_conversation(with_messages(kHello, kTools));
  ASSERT_EQ(conversation.tools.size(), 2U);
  EXPECT_EQ(write_json(conversation.tools[0]),
            R"({"type": "function", "function": {"name": "look", "description": "looks", )"
            R"("parameters": {"type": "object"}}})");
  const std::string none = std::string(kTools) + R"(, "tool_choice": {"type": "none"})";
  EXPECT_TRUE(anthropic_conversation(with_messages(kHello, none)).tools.empty());
  const std::string any = std::string(kTools) + R"(, "tool_choice": {"type": "any"})";
  const auto required = anthropic_parsed(with_messages(kHello, any));
  ASSERT_TRUE(std::holds_alternative<AnthropicRequest>(required));
  EXPECT_NE(std::get<AnthropicRequest>(required).request.grammar, nullptr);
  EXPECT_EQ(anthropic_error(with_messages(kHello, R"(, "tool_choice": {"type": "any"})")).param,
            "tool_choice");
  ServedModel model = test::sample_model();
  model.calls_tools = false;
  EXPECT_TRUE(
      std::holds_alternative<ApiError>(anthropic_parsed(with_messages(kHello, kTools), model)));
}

TEST(AnthropicRequest, ThinkingIsAnArgumentOfTheTemplate) {
  const auto arguments = [](std::string_view more) {
    return anthropic_conversation(with_messages(kHello, more)).arguments;
  };
  EXPECT_TRUE(arguments("").empty());
  const auto off = arguments(R"(, "thinking": {"type": "disabled"})");
  ASSERT_EQ(off.size(), 1U);
  EXPECT_EQ(off[0].first, "enable_thinking");
  EXPECT_EQ(write_json(off[0].second), "false");
  const auto on = arguments(R"(, "thinking": {"type": "enabled", "budget_tokens": 1024},
                               "output_config": {"effort": "low"})");
  ASSERT_EQ(on.size(), 2U);
  EXPECT_EQ(write_json(on[0].second), "true");
  EXPECT_EQ(on[1].first, "reasoning_effort");
}

TEST(AnthropicRequest, WhatIsWrongIsNamed) {
  const std::pair<std::string, const char*> cases[] = {
      {"{}", "messages"},
      {with_messages("[]"), "messages"},
      {with_messages(R"([{"role": "user", "content": []}])"), "messages"},
      {with_messages(R"([{"role": "tool", "content": "x"}])"), "messages[0].role"},
      {with_messages(R"([{"role": "user"}])"), "messages[0].content"},
      {with_messages(R"([{"role": "user", "content": [{"type": "image", "source": {}}]}])"),
       "messages[0].content[0].type"},
      {with_messages(R"([{"role": "user", "content": [{"type": "tool_use", "name": "x"}]}])"),
       "messages[0].content[0].type"},
      {with_messages(R"([{"role": "assistant", "content": [{"type": "tool_use"}]}])"),
       "messages[0].content[0].name"},
      {with_messages(kHello, R"(, "tools": [{"type": "web_search_20250305", "name": "s"}])"),
       "tools[0].type"},
      {with_messages(kHello, R"(, "tools": [{}])"), "tools[0].name"},
      {with_messages(kHello, R"(, "stop_sequences": [""])"), "stop_sequences"},
      {with_messages(kHello, R"(, "temperature": 3)"), "temperature"},
      {with_messages(kHello, R"(, "output_config": {"format": {"type": "json_schema"}})"),
       "output_config.format.schema"},
      {R"({"max_tokens": 0, "messages": []})", "max_tokens"},
  };
  for (const auto& [body, param] : cases) EXPECT_EQ(anthropic_error(body).param, param) << body;
  const ApiError image = anthropic_error(
      with_messages(R"([{"role": "user", "content": [{"type": "image", "source": {}}]}])"));
  EXPECT_THAT(image.message, testing::HasSubstr("'image'"));
}

}  // namespace
}  // namespace potluck
