// Requests of OpenAI's Responses API as CompletionRequests.
#include "coordinator/serving/http/responses_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

std::shared_ptr<const StoredResponse> find(const std::string& id) {
  if (id != "resp_1") return nullptr;
  StoredResponse stored;
  stored.messages.emplace_back().role = "user";
  stored.messages.back().content = JsonValue{std::string("before")};
  stored.messages.emplace_back().role = "assistant";
  stored.messages.back().content = JsonValue{std::string("then")};
  return std::make_shared<const StoredResponse>(std::move(stored));
}

ResponsesParsed responses_parsed(std::string_view body,
                                 const ServedModel& model = test::sample_model()) {
  return parse_responses_request(test::json_value(body), {model, true, {}, 7}, find);
}

ResponsesRequest responses_request(std::string_view body) {
  ResponsesParsed result = responses_parsed(body);
  const auto* error = std::get_if<ApiError>(&result);
  EXPECT_EQ(error, nullptr) << error->message;
  return error != nullptr ? ResponsesRequest{} : std::get<ResponsesRequest>(std::move(result));
}

Conversation responses_conversation(std::string_view body) {
  return std::get<Conversation>(responses_request(body).request.prompt);
}

ApiError responses_error(std::string_view body) {
  ResponsesParsed result = responses_parsed(body);
  EXPECT_TRUE(std::holds_alternative<ApiError>(result)) << body;
  return std::holds_alternative<ApiError>(result) ? std::get<ApiError>(result) : ApiError{};
}

// "role: text" of each.
std::vector<std::string> said_by(const std::vector<ChatMessage>& messages) {
  std::vector<std::string> lines;
  for (const ChatMessage& message : messages) {
    const std::string* text = message.content.text();
    lines.push_back(message.role + ": " + (text != nullptr ? *text : "-"));
  }
  return lines;
}

TEST(ResponsesRequest, TakesWhatItKnows) {
  const ResponsesRequest asked =
      responses_request(R"({"model": "gpt", "input": "hi", "stream": true,
      "max_output_tokens": 9, "temperature": 0.5, "user": "ann", "store": false, "include": [],
      "prompt_cache_key": "k", "reasoning": {"effort": "low"}, "text": {"verbosity": "low"}})");
  EXPECT_TRUE(asked.stream);
  EXPECT_FALSE(asked.store);
  EXPECT_EQ(asked.request.max_tokens, 9U);
  EXPECT_EQ(asked.request.sampling.temperature, 0.5F);
  EXPECT_EQ(asked.request.user, "ann");
  const auto& conversation = std::get<Conversation>(asked.request.prompt);
  EXPECT_THAT(said_by(conversation.messages), testing::ElementsAre("user: hi"));
  ASSERT_EQ(conversation.arguments.size(), 1U);
  EXPECT_EQ(conversation.arguments[0].first, "reasoning_effort");
}

TEST(ResponsesRequest, InstructionsAndLeadingMessagesAreOneSystemMessage) {
  const ResponsesRequest asked = responses_request(R"({"instructions": "a", "input": [
      {"role": "developer", "content": "b"},
      {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "c"}]},
      {"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]})");
  EXPECT_THAT(said_by(std::get<Conversation>(asked.request.prompt).messages),
              testing::ElementsAre("system: a\n\nb\n\nc", "user: hi"));
  EXPECT_EQ(asked.messages.size(), 3U);  // instructions hold for one request
}

TEST(ResponsesRequest, ATurnOfTheModelIsOneMessage) {
  const auto messages = responses_conversation(R"({"input": [
      {"role": "user", "content": "look"},
      {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]},
      {"type": "message", "role": "assistant", "id": "m", "status": "completed",
       "content": [{"type": "output_text", "text": "I look", "annotations": []}]},
      {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"at\": 1}"},
      {"type": "function_call", "call_id": "c2", "name": "look", "arguments": ""},
      {"type": "function_call_output", "call_id": "c1", "output": "a tree"},
      {"type": "function_call_output", "call_id": "c2",
       "output": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
      {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "oh"}]},
      {"type": "function_call", "call_id": "c3", "name": "look", "arguments": "{}"},
      {"type": "reasoning", "summary": [], "encrypted_content": "x"},
      {"role": "assistant", "content": "done"},
      {"role": "user", "content": "thanks"}]})")
                            .messages;
  EXPECT_THAT(said_by(messages),
              testing::ElementsAre("user: look", "assistant: I look", "tool: a tree", "tool: a\nb",
                                   "assistant: -", "assistant: done", "user: thanks"));
  EXPECT_EQ(messages[1].reasoning_content, "hm");
  ASSERT_EQ(messages[1].tool_calls.size(), 2U);
  EXPECT_EQ(messages[1].tool_calls[0].id, "c1");
  EXPECT_EQ(*messages[1].tool_calls[0].arguments.text(), R"({"at": 1})");
  EXPECT_EQ(messages[3].tool_call_id, "c2");
  EXPECT_EQ(messages[4].reasoning_content, "oh");
  EXPECT_EQ(messages[4].tool_calls.size(), 1U);
}

TEST(ResponsesRequest, GoesOnFromAnEarlierResponse) {
  const ResponsesRequest asked = responses_request(
      R"({"input": "now", "instructions": "x", "previous_response_id": "resp_1"})");
  EXPECT_THAT(said_by(std::get<Conversation>(asked.request.prompt).messages),
              testing::ElementsAre("system: x", "user: before", "assistant: then", "user: now"));
  EXPECT_EQ(asked.messages.size(), 3U);
  const ApiError gone = responses_error(R"({"input": "now", "previous_response_id": "resp_2"})");
  EXPECT_EQ(gone.status, 400);
  EXPECT_EQ(gone.param, "previous_response_id");
  EXPECT_EQ(gone.code, "previous_response_not_found");
}

TEST(ResponsesRequest, OnlyFunctionsAreTools) {
  constexpr std::string_view kBody = R"({"input": "hi", "tools": [{"type": "web_search"},
      {"type": "function", "name": "look", "description": "looks", "strict": true,
       "parameters": {"type": "object"}}]})";
  const Conversation conversation = responses_conversation(kBody);
  ASSERT_EQ(conversation.tools.size(), 1U);
  EXPECT_EQ(write_json(conversation.tools[0]),
            R"({"type": "function", "function": {"name": "look", "description": "looks", )"
            R"("parameters": {"type": "object"}}})");
  ServedModel model = test::sample_model();
  model.calls_tools = false;
  EXPECT_TRUE(std::holds_alternative<ApiError>(responses_parsed(kBody, model)));
}

TEST(ResponsesRequest, WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "input"},
      {R"({"input": []})", "input"},
      {R"({"input": 1})", "input"},
      {R"({"input": [{"type": "item_reference", "id": "x"}]})", "input[0].type"},
      {R"({"input": [{"role": "king", "content": "x"}]})", "input[0].role"},
      {R"({"input": [{"role": "user"}]})", "input[0].content"},
      {R"({"input": [{"role": "user", "content": [{"type": "input_image"}]}]})",
       "input[0].content[0].type"},
      {R"({"input": [{"type": "function_call", "call_id": "x"}]})", "input[0].name"},
      {R"({"input": "x", "background": true})", "background"},
      {R"({"input": "x", "conversation": "c"})", "conversation"},
      {R"({"input": "x", "prompt": {"id": "p"}})", "prompt"},
      {R"({"input": "x", "top_logprobs": 21})", "top_logprobs"},
      {R"({"input": "x", "max_output_tokens": 0})", "max_output_tokens"},
      {R"({"input": "x", "text": {"format": {"type": "xml"}}})", "text.format"},
      {R"({"input": "x", "tool_choice": "required"})", "tool_choice"},
      {R"({"input": "x", "tools": [{"type": "function"}]})", "tools[0].name"},
  };
  for (const auto& [body, param] : cases) EXPECT_EQ(responses_error(body).param, param) << body;
}

TEST(ResponsesRequest, LogprobsAreWantedByNumberOrByName) {
  const auto wanted = [](std::string_view more) {
    return responses_request(fmt::format(R"({{"input": "x"{}}})", more)).request.top_logprobs;
  };
  EXPECT_EQ(wanted(""), std::nullopt);
  EXPECT_EQ(wanted(R"(, "top_logprobs": 0, "include": ["reasoning.encrypted_content", 7])"),
            std::nullopt);
  EXPECT_EQ(wanted(R"(, "top_logprobs": 3)"), 3U);
  EXPECT_EQ(wanted(R"(, "include": ["message.output_text.logprobs"])"), 0U);
}

TEST(ResponsesRequest, OneCallAtMostWhereSoAsked) {
  EXPECT_FALSE(responses_request(R"({"input": "x"})").one_call);
  EXPECT_FALSE(responses_request(R"({"input": "x", "parallel_tool_calls": true})").one_call);
  EXPECT_TRUE(responses_request(R"({"input": "x", "parallel_tool_calls": false})").one_call);
}

TEST(ResponsesRequest, FormatsBecomeGrammars) {
  const auto request =
      responses_request(R"({"input": "x", "text": {"format": {"type": "json_schema",
      "name": "n", "schema": {"type": "integer"}}}})");
  EXPECT_NE(request.request.grammar, nullptr);
  EXPECT_EQ(responses_request(R"({"input": "x"})").request.grammar, nullptr);
}

TEST(ResponsesRequest, AnswersRepeatWhatWasAsked) {
  const JsonValue echo{responses_request(R"({"input": "x", "metadata": {"a": "b"}})").echo};
  const auto echoed = nlohmann::json::parse(write_json(echo));
  EXPECT_EQ(echoed["metadata"]["a"], "b");
  EXPECT_EQ(echoed["tool_choice"], "auto");
  EXPECT_EQ(echoed["store"], true);
  EXPECT_TRUE(echoed["instructions"].is_null());
  const std::string large =
      R"({"input": "x", "instructions": ")" + std::string(70'000, 'x') + "\"}";
  const JsonValue short_echo{responses_request(large).echo};
  EXPECT_LT(write_json(short_echo).size(), 1000U);
}

}  // namespace
}  // namespace potluck
