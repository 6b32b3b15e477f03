#include "coordinator/serving/http/openai_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/http/openai_chat.h"
#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using testing::HasSubstr;

std::variant<Conversation, ApiError> read_openai(const std::string& body) {
  std::optional<ApiError> error;
  const JsonValue value = test::json_value(body);
  JsonFields fields(value, "", &error);
  Conversation conversation = read_conversation(fields);
  if (error) return *error;
  return conversation;
}

Conversation good(const std::string& body) {
  auto parsed = read_openai(body);
  const auto* error = std::get_if<ApiError>(&parsed);
  EXPECT_EQ(error, nullptr) << body << ": " << (error != nullptr ? error->message : "");
  return error == nullptr ? std::get<Conversation>(parsed) : Conversation{};
}

constexpr const char* kAsk = R"("messages": [{"role": "user", "content": "hi"}])";

TEST(OpenAiMessages, ReadsAWholeConversation) {
  const Conversation conversation = good(R"({"messages": [
    {"role": "developer", "content": "be short"},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
     "name": "ann"},
    {"role": "assistant", "content": null, "reasoning_content": "hm", "refusal": null,
     "tool_calls": [{"id": "c1", "type": "function",
                     "function": {"name": "look", "arguments": "{\"x\": 1}"}},
                    {"id": "c2", "type": "function",
                     "function": {"name": "look", "arguments": "{broken"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "seen"},
    {"role": "assistant", "content": "done", "reasoning": "newer name", "audio": null}]})");
  ASSERT_EQ(conversation.messages.size(), 5U);
  EXPECT_EQ(conversation.messages[0].role, "system");
  ASSERT_NE(conversation.messages[1].content.array(), nullptr);
  EXPECT_EQ(conversation.messages[1].content.array()->size(), 2U);
  EXPECT_EQ(conversation.messages[1].name, "ann");
  const ChatMessage& called = conversation.messages[2];
  EXPECT_TRUE(called.content.is_null());
  EXPECT_EQ(called.reasoning_content, "hm");
  ASSERT_EQ(called.tool_calls.size(), 2U);
  EXPECT_EQ(called.tool_calls[0].id, "c1");
  EXPECT_EQ(called.tool_calls[0].name, "look");
  EXPECT_EQ(*called.tool_calls[0].arguments.text(), "{\"x\": 1}");
  EXPECT_EQ(*called.tool_calls[1].arguments.text(), "{broken");  // never fails a later turn
  EXPECT_EQ(conversation.messages[3].tool_call_id, "c1");
  EXPECT_EQ(conversation.messages[4].reasoning_content, "newer name");
  EXPECT_TRUE(conversation.add_generation_prompt);
}

TEST(OpenAiMessages, NamesTheMemberThatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "messages"},
      {R"({"messages": []})", "messages"},
      {R"({"messages": "hi"})", "messages"},
      {R"({"messages": ["hi"]})", "messages[0]"},
      {R"({"messages": [{"content": "hi"}]})", "messages[0].role"},
      {R"({"messages": [{"role": "robot", "content": "hi"}]})", "messages[0].role"},
      {R"({"messages": [{"role": "user"}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": 5}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": [5]}]})", "messages[0].content[0]"},
      {R"({"messages": [{"role": "user", "content": [{"type": "text"}]}]})",
       "messages[0].content[0].text"},
      {R"({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]})",
       "messages[0].content[0].type"},
      {R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{}]}]})",
       "messages[1].tool_calls[0].function"},
      {R"({"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}]})",
       "messages[0].tool_calls[0].function.name"},
      {R"({"messages": [{"role": "assistant", "tool_calls": "none"}]})", "messages[0].tool_calls"},
  };
  for (const auto& [body, param] : cases) {
    const auto parsed = read_openai(body);
    const auto* error = std::get_if<ApiError>(&parsed);
    ASSERT_NE(error, nullptr) << body;
    EXPECT_EQ(error->status, 400);
    EXPECT_EQ(error->param, param) << body;
  }
}

TEST(OpenAiMessages, ReadsTools) {
  const std::string tools =
      R"("tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}])";
  const auto with = [&](const std::string& more) {
    return "{" + std::string(kAsk) + ", " + tools + more + "}";
  };
  EXPECT_EQ(good(with("")).tools.size(), 1U);
  EXPECT_EQ(good(with(R"(, "tool_choice": "auto")")).tools.size(), 1U);
  EXPECT_EQ(good(with(R"(, "tool_choice": "none")")).tools.size(), 0U);
  for (const char* choice :
       {R"("required")", R"({"type": "function", "function": {"name": "look"}})"}) {
    EXPECT_EQ(good(with(", \"tool_choice\": " + std::string(choice))).tools.size(), 1U);
  }
  const std::pair<const char*, const char*> cases[] = {
      {R"("tool_choice": "sometimes")", "tool_choice"},
      {R"("tool_choice": {"type": "function"})", "tool_choice"},
      {R"("tools": {})", "tools"},
      {R"("tools": [{"type": "custom"}])", "tools[0].type"},
      {R"("tools": [{"type": "function"}])", "tools[0].function"},
      {R"("tools": [{"type": "function", "function": {}}])", "tools[0].function.name"},
  };
  for (const auto& [fields, param] : cases) {
    const auto parsed = read_openai("{" + std::string(kAsk) + ", " + fields + "}");
    ASSERT_TRUE(std::holds_alternative<ApiError>(parsed)) << fields;
    EXPECT_EQ(std::get<ApiError>(parsed).param, param);
  }
}

TEST(OpenAiMessages, ToolsNeedATemplateThatHasThem) {
  const JsonValue body =
      test::json_value("{" + std::string(kAsk) +
                       R"(, "tools": [{"type": "function", "function": {"name": "look"}}]})");
  ServedModel model = test::sample_model();
  model.calls_tools = false;
  const auto parsed = parse_chat_request(body, {model, true, {}, 1});
  ASSERT_TRUE(std::holds_alternative<ApiError>(parsed));
  EXPECT_EQ(std::get<ApiError>(parsed).param, "tools");
  // While it is loading, that is not known yet: the service refuses for that reason.
  EXPECT_TRUE(
      std::holds_alternative<OpenAiRequest>(parse_chat_request(body, {model, false, {}, 1})));
}

TEST(OpenAiMessages, PassesArgumentsToTheTemplate) {
  const Conversation conversation =
      good("{" + std::string(kAsk) +
           R"(, "reasoning_effort": "none", "chat_template_kwargs": {"a": [1]}})");
  ASSERT_EQ(conversation.arguments.size(), 3U);
  EXPECT_EQ(conversation.arguments[0].first, "reasoning_effort");
  EXPECT_EQ(conversation.arguments[1].first, "enable_thinking");
  EXPECT_EQ(conversation.arguments[2].first, "a");
}

}  // namespace
}  // namespace potluck
