// Tool calls taken out of answers, however the text is cut; what a template shows of their syntax.
#include "engine/chat/tool_calls.h"

#include <gtest/gtest.h>

#include "engine/chat/call_probe.h"

namespace potluck {
namespace {

const ToolCallSyntax kHermes = object_syntax("<tool_call>", "</tool_call>", "name", "arguments");

std::string shown(const JsonValue& value) {
  return value.text() != nullptr ? *value.text() : write_json(value);
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
      {call, R"(|f{"a": "b"})"},
      {"Wait.\n\n" + call + "\n", R"(Wait.|f{"a": "b"})"},
      {call + "\n" + call, R"(|f{"a": "b"}f{"a": "b"})"},
      {call + " And then?", R"(And then?|f{"a": "b"})"},
      {R"(<tool_call>{"name": "f"}</tool_call>)", "|f{}"},
      {R"(<tool_call>{"name": "f", "arguments": "{\"a\": 1}"}</tool_call>)", R"(|f{"a": 1})"},
      {R"(<tool_call>{"name": "f", "arguments": "so"}</tool_call>)", "|fso"},
      {R"(<tool_call>{"name": "f", "arguments": {"a": "</tool_call>"}}</tool_call>.)",
       R"(.|f{"a": "</tool_call>"})"},
      // No calls, so nothing is lost.
      {"x \n" + broken + " y", "x \n" + broken + " y|"},
      {broken + call, broken + R"(|f{"a": "b"})"},
      {"<tool_call>[1]</tool_call>", "<tool_call>[1]</tool_call>|"},
      {R"(<tool_call>{"name": ""}</tool_call>)", R"(<tool_call>{"name": ""}</tool_call>|)"},
      {R"(<tool_call>{"name": "a b"}</tool_call>)", R"(<tool_call>{"name": "a b"}</tool_call>|)"},
      {"a \n<tool_call>{\"name\": \"f\"", "a \n<tool_call>{\"name\": \"f\"|"},
      {"<tool_cal", "<tool_cal|"},
      // Calls all the same.
      {R"(<tool_call>{"name": "f", "arguments": {"a": "b"}} so</tool_call>)", R"(so|f{"a": "b"})"},
      {R"(<tool_call>{"name": "f", "arguments": {"a": "b"}}}</tool_call> x)", R"(}x|f{"a": "b"})"},
      {R"(<tool_call>{"name": "f", "arguments": {"a": "b)", R"(|f{"a": "b)"},
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

TEST(ToolCallSplitter, GivesArgumentsAsTheyCome) {
  ToolCallSplitter splitter(kHermes);
  EXPECT_TRUE(splitter.push(R"(<tool_call>{"name": "f", "arguments": )").growth.empty());
  const SplitCalls begun = splitter.push(R"({"a": "lo)");
  ASSERT_EQ(begun.growth.size(), 1U);
  EXPECT_TRUE(begun.growth[0].begins);
  EXPECT_EQ(begun.growth[0].name, "f");
  EXPECT_EQ(begun.growth[0].arguments, R"({"a": "lo)");
  const SplitCalls more = splitter.push(R"(ng", )");
  ASSERT_EQ(more.growth.size(), 1U);
  EXPECT_FALSE(more.growth[0].begins);
  EXPECT_EQ(more.growth[0].arguments, R"(ng",)");
  EXPECT_TRUE(more.calls.empty());
  const SplitCalls last = splitter.push("\"b\": 1}}\n</tool_call>");
  EXPECT_EQ(last.growth.at(0).arguments, " \"b\": 1}");
  ASSERT_EQ(last.calls.size(), 1U);
  EXPECT_EQ(write_json(last.calls[0].arguments), R"({"a": "long", "b": 1})");
}

// One that begins and never ends must not make each byte dearer than the one before.
TEST(ToolCallSplitter, LongArgumentsTakeTimeInProportion) {
  ToolCallSplitter splitter(kHermes);
  splitter.push(R"(<tool_call>{"name": "f", "arguments": {"a": ")");
  size_t bytes = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    for (const ToolCallGrowth& growth : splitter.push("<").growth) bytes += growth.arguments.size();
  }
  EXPECT_GT(bytes, 900'000U);
}

std::optional<ToolCallSyntax> syntax_of(const std::string& call) {
  return find_call_syntax([&](const Conversation& probe) -> std::optional<std::string> {
    const std::vector<ToolCall>& calls = probe.messages.back().tool_calls;
    if (calls.empty()) return "user|" + *probe.messages.back().content.text() + "|end";
    std::string all = "user|";
    for (const ToolCall& made : calls) {
      std::string one = call;
      one.replace(one.find("NAME"), 4, made.name);
      one.replace(one.find("ARGUMENTS"), 9, write_json(made.arguments));
      all += one;
    }
    return all + "|end";
  });
}

TEST(CallProbe, FindsMarksAndKeys) {
  EXPECT_EQ(
      syntax_of("\n<tool_call>\n{\"name\": \"NAME\", \"arguments\": ARGUMENTS}\n</tool_call>"), [] {
        ToolCallSyntax hermes = kHermes;
        hermes.separator = "\n";
        return hermes;
      }());
  auto reversed = object_syntax("<call>", "<end>", "function", "parameters");
  reversed.arguments_first = true;
  EXPECT_EQ(syntax_of("<call>{\"parameters\": ARGUMENTS, \"function\": \"NAME\"}<end>"), reversed);
}

// Pairs of every brace in front with every brace behind were tried: with these that takes days.
TEST(CallProbe, EndsAmongHostileBraces) {
  constexpr size_t kBraces = 300'000;
  const std::string open(kBraces, '{');
  const std::string close(kBraces, '}');
  const std::string call = R"({"name": "NAME", "arguments": ARGUMENTS})";
  EXPECT_EQ(syntax_of(open + "NAME ARGUMENTS" + close), std::nullopt);
  EXPECT_EQ(syntax_of(open + call + close), std::nullopt)
      << "marks this long would have to be looked for in every answer";
  EXPECT_EQ(syntax_of("<<{" + call + "}>>"), object_syntax("<<{", "}>>", "name", "arguments"));
}

TEST(CallProbe, BracesInTextsEndNoObject) {
  const std::string call = R"({"note": "}\"}{", "arguments": ARGUMENTS, "name": "NAME"})";
  auto expected = object_syntax("<a>", "<b>", "name", "arguments");
  expected.arguments_first = true;
  EXPECT_EQ(syntax_of("<a>" + call + "<b>"), expected);
}

}  // namespace
}  // namespace potluck
