// In which form templates take conversations, and that a broken call in one never makes a later
// turn fail.
#include "engine/chat/conversation_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/chat/syntax_samples.h"

namespace potluck {
namespace {

using testing::HasSubstr;
using testing::Not;

ChatMessage user(const std::string& text) {
  return {"user", JsonValue{text}, {}, {}, {}, {}};
}

ChatMessage calls(std::vector<ToolCall> made) {
  return {"assistant", JsonValue{}, {}, std::move(made), {}, {}};
}

ChatMessage result(const std::string& text, const std::string& id) {
  return {"tool", JsonValue{text}, {}, {}, id, {}};
}

std::string rendered(const std::string& source, std::vector<ChatMessage> messages) {
  Conversation conversation;
  conversation.messages = std::move(messages);
  const auto text = test::parsed_template(source).render(conversation, {});
  EXPECT_TRUE(text) << text.error().message;
  return text ? std::string(text->bytes()) : std::string();
}

std::string loop(const std::string& message) {
  return "{% for m in messages %}" + message + "{% endfor %}";
}

TEST(ConversationForm, BrokenCallsNeverMakeALaterTurnFail) {
  const JsonValue broken[] = {JsonValue{std::string("{\"place\": \"Par")},
                              JsonValue{std::string("no JSON")},
                              JsonValue{std::string("[1, 2]")},
                              JsonValue{std::string()},
                              JsonValue{},
                              test::json("[\"a\"]"),
                              JsonValue{int64_t{7}}};
  for (const test::SyntaxSample& sample : test::syntax_samples()) {
    for (const JsonValue& arguments : broken) {
      const std::string text =
          rendered(sample.source, {user("Hello"), calls({{"call_1", "look", arguments}}),
                                   result("Nothing", "call_1"), user("And now?")});
      EXPECT_THAT(text, HasSubstr("look")) << sample.name;
      EXPECT_THAT(text, HasSubstr("And now?")) << sample.name;
      const std::string* said = arguments.text();
      if (said != nullptr && *said == "no JSON") {
        EXPECT_THAT(text, HasSubstr(*said)) << sample.name;
      }
    }
  }
}

TEST(ConversationForm, CallsOneToAMessage) {
  const std::string source = loop(
      "<{{ m.role }}>{{ m.content or '' }}{% if m.tool_calls %}"
      "{% if m.tool_calls | length > 1 %}{{ raise_exception('one') }}{% endif %}"
      "{{ m.tool_calls[0].function.name }}{{ m.tool_calls[0].function.arguments | tojson }}"
      "{% endif %}");
  const JsonValue none = test::json("{}");
  ChatMessage several = calls({{"1", "a", none}, {"2", "b", none}, {"3", "c", none}});
  several.content = JsonValue{std::string("I look")};
  EXPECT_EQ(rendered(source, {user("x"), several, result("second", "2"), result("first", "1"),
                              result("other", "9"), user("y")}),
            "<user>x<assistant>I looka{}<tool>first<assistant>b{}<tool>second<assistant>c{}"
            "<tool>other<user>y");
  EXPECT_EQ(rendered(source, {user("x"), calls({{"", "a", none}, {"", "b", none}}),
                              result("first", ""), result("second", "")}),
            "<user>x<assistant>a{}<tool>first<assistant>b{}<tool>second");
}

TEST(ConversationForm, TextAndCallsInMessagesOfTheirOwn) {
  const std::string& source = test::syntax_sample("fence without text").source;
  ChatMessage both = calls({{"call12345", "look", test::json("{}")}});
  both.content = JsonValue{std::string("I look.")};
  EXPECT_EQ(rendered(source, {user("x"), both}),
            "<|user|>x<|assistant|>I look.<|over|>"
            "<|assistant|><|calls|><|call|>function<|sep|>look\n```json\n{}\n```<|/call|>"
            "<|assistant|>");
}

TEST(ConversationForm, IdsOfNineLettersAndDigits) {
  const std::string source = loop(
      "{% for c in m.tool_calls or [] %}"
      "{% if c.id is not defined or c.id | length != 9 %}{{ raise_exception('id') }}{% endif %}"
      "[{{ c.id }}]{{ c.function.arguments | tojson }}{% endfor %}"
      "{% if m.role == 'tool' %}{% if m.tool_call_id | length != 9 %}{{ raise_exception('id') }}"
      "{% endif %}<{{ m.tool_call_id }}>{% endif %}");
  const JsonValue none = test::json("{}");
  const std::string kept =
      rendered(source, {user("x"), calls({{"abcDEF123", "a", none}}), result("r", "abcDEF123")});
  EXPECT_EQ(kept, "[abcDEF123]{}<abcDEF123>");
  const std::string made =
      rendered(source, {user("x"), calls({{"call_1", "a", none}}), result("r", "call_1")});
  EXPECT_EQ(made.substr(1, 9), made.substr(14, 9)) << made;
  EXPECT_EQ(made.substr(1, 9), short_call_id("call_1"));
  EXPECT_NE(short_call_id("call_1"), short_call_id("call_2"));
}

TEST(ConversationForm, TextsBesideCallsAsTheTemplateTakesThem) {
  const std::string calls_text =
      "{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}{% endfor %}";
  const JsonValue none = test::json("{}");
  const std::vector<ChatMessage> messages{user("x"), calls({{"call12345", "a", none}})};
  EXPECT_EQ(rendered(loop("<{{ m.content }}>" + calls_text), messages), "<x><>{}");
  EXPECT_EQ(
      rendered(loop("{% if m.content is not none %}<{{ m.content }}>{% endif %}" + calls_text),
               messages),
      "<x>{}");
}

TEST(ConversationForm, ReasoningUnderItsOtherName) {
  const std::string& source = test::syntax_sample("channels").source;
  ChatMessage call = calls({{"call12345", "look", test::json("{}")}});
  call.reasoning_content = "Hm";
  call.content = JsonValue{std::string("I look.")};
  EXPECT_THAT(rendered(source, {user("x"), call, result("r", "call12345")}),
              HasSubstr("<|channel|>analysis<|message|>Hm\n\nI look.<|end|>"));
  call.content = JsonValue{};
  EXPECT_THAT(rendered(source, {user("x"), call, result("r", "call12345")}),
              HasSubstr("<|channel|>analysis<|message|>Hm<|end|>"));
}

}  // namespace
}  // namespace potluck
