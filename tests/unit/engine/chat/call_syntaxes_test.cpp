// Every syntax of tool calls: from the text of an answer to its calls, to the history, and to the
// same text, however the text is cut.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/chat/syntax_samples.h"

namespace potluck {
namespace {

using test::SaidAnswer;
using test::SyntaxSample;
using testing::HasSubstr;

// Everything that has once been taken for the end of something.
const char* const kArguments[] = {
    R"({"place": "Paris"})",
    R"({"place": "a \"b\" \\ c", "count": -7, "part": 2.5, "sure": true})",
    R"({"place": "Zürich 東京 🎲 \u2028", "way": "south"})",
    R"({"place": "7", "maybe": "true", "count": 7})",
    R"({"place": "", "maybe": null})",
    R"({"code": "\n  if a < b:\n\treturn {'x': [1]}\n\n", "place": "{\"a\": 1}"})",
    R"({"inner": {"a": {"b": [1, null, "}", {"c": "]"}]}}, "list": ["x", "{", ""], "place": "p"})",
    R"({"place": "</tool_call> <tool_call> ```", "code": "</function>\n</call></do> [ARGS]"})",
    R"({"place": "</parameter> </arg_value> <｜call▁end｜> <|/call|>", "code": "[TOOL_CALLS]["})",
    R"({"place": "<parameter=place> <arg_key> </arg> </｜x｜parameter> <｜x｜parameter"})",
};

std::vector<ToolCall> calls_of(std::initializer_list<const char*> arguments) {
  std::vector<ToolCall> calls;
  for (const char* text : arguments) calls.push_back({"", "look", test::json(text)});
  return calls;
}

// Reads what the template writes for an answer, and writes what was read.
void check_round_trip(const SyntaxSample& sample, const SaidAnswer& said) {
  const ChatTemplate made = test::parsed_template(sample.source);
  const auto tools = test::sample_tools();
  const auto [prompt, answer] = test::written(made, said, tools);
  ASSERT_FALSE(answer.empty()) << sample.name;
  std::vector<size_t> sizes{1, 2, 3, 7, 0, answer.size()};
  for (const size_t size : sizes) {
    const SaidAnswer read =
        test::read_answer(made.answer_syntax(), tools, prompt, answer, size, answer.size());
    ASSERT_EQ(test::shown(read), test::shown(said)) << sample.name << " by " << size << answer;
    const auto again = test::written(made, read, tools);
    ASSERT_EQ(again.answer, answer) << sample.name;
  }
}

TEST(CallSyntaxes, AreFoundInAllTemplates) {
  for (const SyntaxSample& sample : test::syntax_samples()) {
    const AnswerSyntax syntax = test::parsed_template(sample.source).answer_syntax();
    EXPECT_TRUE(syntax.marks_calls()) << sample.name;
    if (sample.name == "channels") continue;
    EXPECT_EQ(syntax.calls && syntax.calls->is_tagged(), sample.tagged) << sample.name;
  }
}

TEST(CallSyntaxes, TextToCallToHistoryToText) {
  for (const SyntaxSample& sample : test::syntax_samples()) {
    for (const char* arguments : kArguments) {
      SaidAnswer said;
      said.calls = calls_of({arguments});
      check_round_trip(sample, said);
    }
  }
}

TEST(CallSyntaxes, CallsWithoutArguments) {
  for (const SyntaxSample& sample : test::syntax_samples()) {
    SaidAnswer said;
    said.calls.push_back({"", "wait", test::json("{}")});
    check_round_trip(sample, said);
  }
}

TEST(CallSyntaxes, SeveralCallsBehindReasoningAndText) {
  for (const SyntaxSample& sample : test::syntax_samples()) {
    if (sample.single || sample.no_text) continue;
    SaidAnswer said;
    said.reasoning = "Where? <tool_call>?";
    said.content = "I will look <there>.";
    said.calls = calls_of({kArguments[1], kArguments[5], kArguments[0]});
    said.calls.push_back({"", "wait", test::json("{}")});
    check_round_trip(sample, said);
  }
}

TEST(CallSyntaxes, SeveralCallsAlone) {
  for (const SyntaxSample& sample : test::syntax_samples()) {
    if (sample.single) continue;
    SaidAnswer said;
    said.calls = calls_of({kArguments[1], kArguments[7]});
    check_round_trip(sample, said);
  }
}

TEST(CallSyntaxes, PlainAnswersStayAsTheyAre) {
  for (const SyntaxSample& sample : test::syntax_samples()) {
    SaidAnswer said;
    said.content = " {a < b} [1] `<`x <tool {\"name\": 3} <";
    if (sample.name == "channels") said.content = "a < b <| c";
    const ChatTemplate made = test::parsed_template(sample.source);
    for (const size_t size : {1, 3, 100}) {
      const SaidAnswer read =
          test::read_answer(made.answer_syntax(), test::sample_tools(), "", said.content, size);
      EXPECT_EQ(test::shown(read), test::shown(said)) << sample.name;
    }
  }
}

// Cut anywhere, nothing of an answer is lost, and what was passed on as it came is what is there in
// the end.
TEST(CallSyntaxes, TruncatedAnswersLoseNothing) {
  for (const SyntaxSample& sample : test::syntax_samples()) {
    const ChatTemplate made = test::parsed_template(sample.source);
    const auto tools = test::sample_tools();
    SaidAnswer said;
    said.calls = calls_of({R"({"place": "Wellington", "count": 12345, "code": "a\nb"})"});
    const auto [prompt, answer] = test::written(made, said, tools);
    for (size_t end = 1; end < answer.size(); ++end) {
      const SaidAnswer read = test::read_answer(made.answer_syntax(), tools, prompt,
                                                answer.substr(0, end), 1 + end % 5);
      const std::string all = test::shown(read);
      ASSERT_LE(read.calls.size(), 1U);
      for (const char* word : {"Wellington", "12345"}) {
        const bool was_written = answer.substr(0, end).find(word) != std::string::npos;
        EXPECT_EQ(was_written, all.find(word) != std::string::npos)
            << sample.name << ": " << answer.substr(0, end) << " -> " << all;
      }
      if (read.calls.empty()) continue;
      const bool is_text = read.calls[0].arguments.text() != nullptr;
      const std::string grown = read.growth.substr(5, read.growth.size() - 6);
      if (is_text) {
        EXPECT_EQ(grown, *read.calls[0].arguments.text()) << sample.name;
      } else if (!grown.empty()) {
        EXPECT_EQ(write_json(test::json(grown)), write_json(read.calls[0].arguments));
      }
    }
  }
}

TEST(CallSyntaxes, ArgumentsThatAreNoJsonStayTheTextThatTheyAre) {
  const auto read = [](const char* name, const std::string& text, size_t size) {
    const ChatTemplate made = test::parsed_template(test::syntax_sample(name).source);
    return test::shown(
        test::read_answer(made.answer_syntax(), test::sample_tools(), "", text, size));
  };
  for (const size_t size : {1, 4, 200}) {
    EXPECT_EQ(read("object",
                   "Hm.\n<tool_call>{\"name\": \"look\", \"arguments\": {'place': 'x'}}"
                   "</tool_call>\nSo.",
                   size),
              "|Hm.So.|look({'place': 'x'}})");
    EXPECT_EQ(read("object",
                   "<tool_call>{\"name\": \"look\", \"arguments\": {\"place\": \"x}}\n"
                   "</tool_call><tool_call>{\"name\": \"wait\", \"arguments\": {}}</tool_call>",
                   size),
              "||look({\"place\": \"x}}\n)wait({})");
    EXPECT_EQ(read("name and arguments",
                   "[TOOL_CALLS]look[ARGS]{\"place\": }[TOOL_CALLS]wait[ARGS]{}", size),
              "||look({\"place\": })wait({})");
    EXPECT_EQ(read("name and arguments", "[TOOL_CALLS]look[ARGS]Paris", size), "||look(Paris)");
    EXPECT_EQ(read("name and arguments",
                   "[TOOL_CALLS]look[ARGS]{\"list\": [TOOL_CALLS]wait[ARGS]{}", size),
              "||look({\"list\":)wait({})");
    EXPECT_EQ(
        read("fence",
             "<｜calls▁begin｜><｜call▁begin｜>function<｜sep｜>look\n```json\n{\"place\": \"x\"\n"
             "```<｜call▁end｜><｜calls▁end｜>",
             size),
        "||look({\"place\": \"x\")");
    // A mark behind which no call goes on is part of the value.
    EXPECT_EQ(read("tags",
                   "<tool_call>\n<function=look>\n<parameter=place>\nx\n</parameter>\nso\n"
                   "</function>\n</tool_call>",
                   size),
              R"(||look({"place": "x\n</parameter>\nso\n</function>\n</tool_call>))");
  }
}

// Models leave out and vary what is around the arguments.
TEST(CallSyntaxes, WhatModelsVary) {
  const auto read = [](const char* name, const std::string& text) {
    const ChatTemplate made = test::parsed_template(test::syntax_sample(name).source);
    return test::shown(test::read_answer(made.answer_syntax(), test::sample_tools(), "", text, 2));
  };
  EXPECT_EQ(read("tags",
                 "<tool_call><function=look><parameter=count>7</parameter></function>"
                 "</tool_call>"),
            "||look({\"count\": 7})");
  EXPECT_EQ(read("tags",
                 "<tool_call>\n<function=look>\n<parameter=place>\nx\n</parameter>\n"
                 "</tool_call>"),
            "||look({\"place\": \"x\"})")
      << "the end of the function is missing";
  EXPECT_EQ(read("separator", "<｜call▁begin｜>wait<｜sep｜>{}<｜call▁end｜>"), "||wait({})")
      << "the mark around all calls is missing";
  EXPECT_EQ(read("numbers",
                 "<|section|>\n<|call|> functions.look:3 <|args|> {\"count\": 1} "
                 "<|/call|>\n<|/section|>"),
            "||look({\"count\": 1})");
  EXPECT_EQ(read("list behind a mark", "[TOOL_CALLS] [{\"name\": \"wait\", \"arguments\": {}}]"),
            "||wait({})");
  EXPECT_EQ(read("object", "<tool_call>{\"name\": \"wait\", \"arguments\": null}</tool_call>"),
            "||wait({})");
  EXPECT_EQ(read("object",
                 "<tool_call>{\"arguments\": {\"count\": 2}, \"name\": \"look\"}"
                 "</tool_call>"),
            "||look({\"count\": 2})");
  EXPECT_EQ(read("attributes",
                 "<m:calls><invoke name=\"look\"><parameter name=\"count\">2"
                 "</parameter></invoke></m:calls>Done"),
            "|Done|look({\"count\": 2})");
}

// A JSON answer is no call because it looks like one.
TEST(CallSyntaxes, BareObjectsAreCallsOfKnownToolsAlone) {
  const ChatTemplate made = test::parsed_template(test::syntax_sample("bare object").source);
  const auto read = [&](const std::string& text, const std::vector<JsonValue>& tools) {
    return test::shown(test::read_answer(made.answer_syntax(), tools, "", text, 3));
  };
  const std::string call = R"({"name": "look", "parameters": {"place": "x"}})";
  EXPECT_EQ(read(call, test::sample_tools()), R"(||look({"place": "x"}))");
  EXPECT_EQ(read(call + "; " + call, test::sample_tools()),
            R"(||look({"place": "x"})look({"place": "x"}))");
  EXPECT_EQ(read(call, {}), "|" + call + "|");
  const std::string other = R"({"name": "Ada", "parameters": {"place": "x"}})";
  EXPECT_EQ(read(other, test::sample_tools()), "|" + other + "|");
  EXPECT_EQ(read("See " + call, test::sample_tools()), "|See " + call + "|");
}

TEST(CallSyntaxes, TextsAndNumbersAreToldApartByTheSchema) {
  const ChatTemplate made = test::parsed_template(test::syntax_sample("tags").source);
  const auto read = [&](const std::string& key, const std::string& value) {
    return test::shown(test::read_answer(made.answer_syntax(), test::sample_tools(), "",
                                         "<tool_call>\n<function=look>\n<parameter=" + key + ">\n" +
                                             value + "\n</parameter>\n</function>\n</tool_call>",
                                         5));
  };
  EXPECT_EQ(read("place", "7"), R"(||look({"place": "7"}))");
  EXPECT_EQ(read("count", "7"), R"(||look({"count": 7}))");
  EXPECT_EQ(read("sure", "True"), R"(||look({"sure": true}))") << "as Python writes it";
  EXPECT_EQ(read("place", "True"), R"(||look({"place": "True"}))");
  EXPECT_EQ(read("count", "seven"), R"(||look({"count": "seven"}))");
  EXPECT_EQ(read("maybe", "7"), R"(||look({"maybe": "7"}))");
  EXPECT_EQ(read("maybe", "null"), R"(||look({"maybe": null}))");
  EXPECT_EQ(read("list", R"(["a"])"), R"(||look({"list": ["a"]}))");
  EXPECT_EQ(read("other", "[1, 2]"), R"(||look({"other": [1, 2]}))") << "no schema: as JSON";
  EXPECT_EQ(read("other", "[1, 2"), R"(||look({"other": "[1, 2"}))");
}

TEST(CallSyntaxes, AreNotGuessed) {
  const auto calls_in = [](const std::string& call) {
    return test::parsed_template(
               "{% for m in messages %}<|turn|>{{ m.role }}\n{{ m.content }}"
               "{% for c in m.tool_calls or [] %}" +
               call + "{% endfor %}<|over|>{% endfor %}")
        .answer_syntax()
        .calls;
  };
  EXPECT_FALSE(calls_in(""));
  EXPECT_FALSE(calls_in("<call>{{ c.function.name }}</call>"));
  EXPECT_FALSE(calls_in("<call>{{ c.function.arguments | tojson }}</call>"));
  EXPECT_FALSE(calls_in("<call>{{ c.function.arguments | tojson }}{{ c.function.name }}</call>"));
  EXPECT_FALSE(calls_in("{{ c.function.name }}({{ c.function.arguments.items() | list }})"));
}

}  // namespace
}  // namespace potluck
