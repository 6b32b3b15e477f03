// Tool calls taken out of answers, however the text is cut; their syntax taken from templates.
#include "engine/chat/tool_calls.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "engine/base/bytes.h"
#include "engine/base/storage.h"
#include "engine/chat/chat_template.h"

namespace potluck {
namespace {

const ToolCallSyntax kHermes{"<tool_call>", "</tool_call>", "name", "arguments"};

std::string shown(const JsonValue& value) {
  if (value.text() != nullptr) return *value.text();
  if (value.object() == nullptr) return "?";
  std::string all = "{";
  for (const auto& [key, member] : *value.object()) all += key + ":" + shown(member) + ";";
  return all + "}";
}

// "content|name{arguments}..", the text pushed in pieces of `size` bytes.
std::string split_calls(std::string_view text, size_t size) {
  ToolCallSplitter splitter(kHermes);
  std::string content;
  std::string calls;
  const auto take = [&](const SplitCalls& piece) {
    content += piece.content;
    for (const ToolCall& call : piece.calls) calls += call.name + shown(call.arguments);
  };
  for (size_t at = 0; at < text.size(); at += size) take(splitter.push(text.substr(at, size)));
  take(splitter.finish());
  return content + "|" + calls;
}

TEST(ToolCallSplitter, EveryCutGivesTheSame) {
  const std::string call = R"(<tool_call>{"name": "f", "arguments": {"a": "b"}}</tool_call>)";
  const std::string broken = R"(<tool_call>{"name": "f", "argum</tool_call>)";
  const std::pair<std::string, std::string> cases[] = {
      {"Yes", "Yes|"},
      {"", "|"},
      {" a < b \n", " a < b \n|"},
      {call, "|f{a:b;}"},
      {"Wait.\n\n" + call + "\n", "Wait.|f{a:b;}"},
      {call + "\n" + call, "|f{a:b;}f{a:b;}"},
      {call + " And then?", "And then?|f{a:b;}"},
      {R"(<tool_call>{"name": "f"}</tool_call>)", "|f{}"},
      {R"(<tool_call>{"name": "f", "arguments": "{\"a\": 1}"}</tool_call>)", "|f{\"a\": 1}"},
      // No calls, so nothing is lost.
      {"x \n" + broken + " y", "x \n" + broken + " y|"},
      {broken + call, broken + "|f{a:b;}"},
      {"<tool_call>[1]</tool_call>", "<tool_call>[1]</tool_call>|"},
      {R"(<tool_call>{"name": ""}</tool_call>)", R"(<tool_call>{"name": ""}</tool_call>|)"},
      {"a \n<tool_call>{\"name\": \"f\"", "a \n<tool_call>{\"name\": \"f\"|"},
      {"<tool_cal", "<tool_cal|"},
  };
  for (const auto& [text, expected] : cases) {
    for (size_t size = 1; size <= text.size() + 1; ++size) {
      EXPECT_EQ(split_calls(text, size), expected) << text << " by " << size;
    }
  }
}

TEST(ToolCallSplitter, GivesTextAtOnce) {
  ToolCallSplitter splitter(kHermes);
  EXPECT_EQ(splitter.push("One tw").content, "One tw");
  EXPECT_EQ(splitter.push("o <").content, "o");
  EXPECT_EQ(splitter.push("tool").content, "");
  EXPECT_EQ(splitter.push("s>").content, " <tools>");
  EXPECT_EQ(ToolCallSplitter(std::nullopt).push("<tool_call>").content, "<tool_call>");
}

std::optional<ToolCallSyntax> syntax_of(std::string_view source) {
  auto parsed = ChatTemplate::parse(source);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed->answer_syntax().calls;
}

std::string with_calls(const std::string& call) {
  return "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
         "{% for c in m.tool_calls or [] %}" +
         call + "{% endfor %}<|im_end|>\n{% endfor %}";
}

TEST(ToolCallSyntax, IsFoundInWhatATemplateWrites) {
  EXPECT_EQ(syntax_of(with_calls("\n<tool_call>\n{\"name\": \"{{ c.function.name }}\", "
                                 "\"arguments\": {{ c.function.arguments | tojson }}}\n"
                                 "</tool_call>")),
            kHermes);
  // Other marks, other keys, other order, arguments as text.
  EXPECT_EQ(syntax_of(with_calls("<call>{\"parameters\": {{ c.function.arguments | string | tojson "
                                 "}}, \"function\": \"{{ c.function.name }}\"}<end>")),
            std::nullopt);  // Python's text of a dictionary is no JSON
  EXPECT_EQ(syntax_of(with_calls("<call>{\"parameters\": {{ c.function.arguments | tojson | tojson "
                                 "}}, \"function\": \"{{ c.function.name }}\"}<end>")),
            (ToolCallSyntax{"<call>", "<end>", "function", "parameters"}));
}

TEST(ToolCallSyntax, IsNotGuessed) {
  EXPECT_EQ(syntax_of(with_calls("")), std::nullopt);
  EXPECT_EQ(syntax_of("{{ messages[0].content }}"), std::nullopt);
  EXPECT_EQ(
      syntax_of(with_calls("<f={{ c.function.name }}>{{ c.function.arguments | tojson }}</f>")),
      std::nullopt);
  EXPECT_EQ(syntax_of(with_calls("[CALLS][{\"name\": \"{{ c.function.name }}\", \"arguments\": "
                                 "{{ c.function.arguments | tojson }}}]")),
            std::nullopt);
}

// Pairs of every brace in front with every brace behind were tried: with these that takes days.
TEST(ToolCallSyntax, EndsAmongHostileBraces) {
  constexpr size_t kBraces = 300'000;
  const std::string open(kBraces, '{');
  const std::string close(kBraces, '}');
  const std::string call = R"({"name": "probe_7f3a", "arguments": {"key_7f3a": "value_7f3a"}})";
  const std::string broken = "probe_7f3a value_7f3a";
  EXPECT_EQ(find_tool_call_syntax("a" + open + broken + close + "b", "c"), std::nullopt);
  EXPECT_EQ(find_tool_call_syntax("a" + open + call + close + "b", "c"), std::nullopt)
      << "marks this long would have to be looked for in every answer";
  const auto few = find_tool_call_syntax("{{{" + call + "}}}", "c");
  EXPECT_EQ(few, (ToolCallSyntax{"{{{", "}}}", "name", "arguments"}));
}

TEST(ToolCallSyntax, BracesInTextsEndNoObject) {
  const std::string call =
      R"({"note": "}\"}{", "arguments": {"key_7f3a": "value_7f3a"}, "name": "probe_7f3a"})";
  EXPECT_EQ(find_tool_call_syntax("<a>" + call + "<b>", "c"),
            (ToolCallSyntax{"<a>", "<b>", "name", "arguments"}));
}

}  // namespace
}  // namespace potluck
