// What requests ask of the form of an answer, and the grammars that come of it.
#include "coordinator/serving/http/answer_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/http/openai_chat.h"
#include "coordinator/serving/http/openai_completions.h"
#include "engine/grammar/grammar_walk.h"
#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using testing::HasSubstr;

constexpr const char* kFormTools = R"("tools": [
    {"type": "function", "function": {"name": "look", "parameters": {"type": "object",
     "properties": {"at": {"type": "string"}}, "required": ["at"]}}},
    {"type": "function", "function": {"name": "wait"}}], )";

OpenAiParsed parse(const std::string& fields) {
  const std::string ask = R"("messages": [{"role": "user", "content": "Hello"}])";
  const ServedModel model = test::sample_model();
  return parse_chat_request(test::json_value("{" + fields + ask + "}"), {model, true, {}, 1});
}

FormGrammar form_of(const std::string& fields) {
  const auto parsed = parse(fields);
  const auto* request = std::get_if<OpenAiRequest>(&parsed);
  if (request == nullptr) ADD_FAILURE() << std::get<ApiError>(parsed).message;
  return request == nullptr ? nullptr : request->choices.front().grammar;
}

ApiError form_error(const std::string& fields) {
  const auto parsed = parse(fields);
  const auto* error = std::get_if<ApiError>(&parsed);
  return error == nullptr ? ApiError{0, "none", "none"} : *error;
}

bool allows(const FormGrammar& grammar, std::string_view text,
            AnswerEntry entry = AnswerEntry::kAnswer) {
  if (grammar == nullptr) return false;
  GrammarWalk walk(*grammar);
  auto state = walk.at({grammar->entries[static_cast<size_t>(entry)], 0});
  for (const char byte : text) state = walk.step(state, static_cast<uint8_t>(byte));
  return walk.may_end(state);
}

TEST(AnswerForm, ReadsFormats) {
  EXPECT_EQ(form_of(""), nullptr);
  EXPECT_EQ(form_of(R"("response_format": {"type": "text"}, )"), nullptr);
  const FormGrammar object = form_of(R"("response_format": {"type": "json_object"}, )");
  EXPECT_TRUE(allows(object, R"({"a": [1, null]})"));
  EXPECT_FALSE(allows(object, "[1]"));
  for (const char* fields :
       {R"("response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true,
           "schema": {"type": "integer"}}}, )",
        R"("response_format": {"type": "json_schema", "schema": {"type": "integer"}}, )",
        R"("json_schema": {"type": "integer"}, )", R"("grammar": "root ::= [0-9]+", )"}) {
    const FormGrammar number = form_of(fields);
    EXPECT_TRUE(allows(number, "12")) << fields;
    EXPECT_FALSE(allows(number, "x")) << fields;
  }
}

TEST(AnswerForm, ErrorsNameTheField) {
  const ApiError schema = form_error(R"("json_schema": {"properties": {"a": {"not": {}}}}, )");
  EXPECT_EQ(schema.param, "json_schema");
  EXPECT_THAT(schema.message, HasSubstr("properties.a.not"));
  EXPECT_EQ(schema.status, 400);
  const ApiError grammar = form_error(R"("grammar": "root ::= x", )");
  EXPECT_EQ(grammar.param, "grammar");
  EXPECT_THAT(grammar.message, HasSubstr("'x'"));
  EXPECT_EQ(form_error(R"("grammar": "root ::= \"x\"", "json_schema": {}, )").param, "grammar");
  EXPECT_EQ(form_error(R"("grammar": 3, )").param, "grammar");
  EXPECT_EQ(form_error(R"("response_format": {"type": "json_schema", "json_schema": {}}, )").param,
            "response_format.json_schema");
}

TEST(AnswerForm, RequiredCallsAreWrittenAsTheTemplateWritesThem) {
  const std::string look = R"(<tool_call>
{"name": "look", "arguments": {"at": "x"}}
</tool_call>)";
  const std::string wait = R"(<tool_call>{"name": "wait", "arguments": {}}</tool_call>)";
  const FormGrammar any = form_of(std::string(kFormTools) + R"("tool_choice": "required", )");
  EXPECT_TRUE(allows(any, look));
  EXPECT_TRUE(allows(any, wait));
  EXPECT_TRUE(allows(any, wait + "\n" + look));
  EXPECT_FALSE(allows(any, "Hello"));
  EXPECT_FALSE(allows(any, R"(<tool_call>{"name": "look", "arguments": {}}</tool_call>)"));
  EXPECT_TRUE(allows(any, "\xFF<tool_call>" + wait.substr(11))) << "a control token is a mark";
  const FormGrammar one = form_of(std::string(kFormTools) +
                                  R"("tool_choice": "required", "parallel_tool_calls": false, )");
  EXPECT_TRUE(allows(one, wait));
  EXPECT_FALSE(allows(one, wait + wait));
  const FormGrammar named =
      form_of(std::string(kFormTools) +
              R"("tool_choice": {"type": "function", "function": {"name": "wait"}}, )");
  EXPECT_TRUE(allows(named, wait));
  EXPECT_FALSE(allows(named, look));
  EXPECT_EQ(form_of(std::string(kFormTools) + R"("tool_choice": "auto", )"), nullptr);
  EXPECT_EQ(form_of(std::string(kFormTools) + R"("tool_choice": "none", )"), nullptr);
}

TEST(AnswerForm, CallsThatCannotBeRequired) {
  EXPECT_EQ(form_error(R"("tool_choice": "required", )").param, "tool_choice");
  const ApiError unknown =
      form_error(std::string(kFormTools) +
                 R"("tool_choice": {"type": "function", "function": {"name": "no"}}, )");
  EXPECT_EQ(unknown.param, "tool_choice");
  EXPECT_THAT(unknown.message, HasSubstr("'no'"));
  EXPECT_EQ(
      form_error(std::string(kFormTools) + R"("tool_choice": "required", "json_schema": {}, )")
          .param,
      "tool_choice");
  const ApiError bad = form_error(R"("tool_choice": "required", "tools": [{"type": "function",
      "function": {"name": "f", "parameters": {"not": {}}}}], )");
  EXPECT_THAT(bad.message, HasSubstr("function 'f'"));
}

TEST(AnswerForm, ReasoningMayComeFirst) {
  AnswerSyntax syntax;
  syntax.reasoning = ReasoningMarks{"<think>", "</think>"};
  auto grammar = make_answer_grammar(GbnfForm{"root ::= \"yes\""}, syntax);
  ASSERT_TRUE(grammar) << grammar.error().message;
  EXPECT_TRUE(allows(*grammar, "yes"));
  EXPECT_FALSE(allows(*grammar, "<think>a</think>yes"));
  EXPECT_TRUE(allows(*grammar, "yes", AnswerEntry::kEither));
  EXPECT_TRUE(allows(*grammar, "\n<think>a <</think</think>\n\nyes", AnswerEntry::kEither));
  EXPECT_TRUE(allows(*grammar, "why ä</think>yes", AnswerEntry::kReasoning));
  EXPECT_TRUE(allows(*grammar, "why\xFF</think>yes", AnswerEntry::kReasoning));
  EXPECT_FALSE(allows(*grammar, "yes", AnswerEntry::kReasoning));
  EXPECT_EQ(answer_entry(syntax, "a\n<think>\n"), AnswerEntry::kReasoning);
  EXPECT_EQ(answer_entry(syntax, "a"), AnswerEntry::kEither);
  EXPECT_EQ(answer_entry(syntax, "<think>\n\n</think>\n\n"), AnswerEntry::kAnswer);
  EXPECT_EQ(answer_entry({}, "<think>"), AnswerEntry::kAnswer);
}

TEST(AnswerForm, TextCompletionsHaveTheSameFields) {
  const ServedModel model = test::sample_model();
  const auto parsed = parse_completions_request(
      test::json_value(R"({"prompt": "a", "grammar": "root ::= \"b\""})"), {model, true, {}, 1});
  ASSERT_TRUE(std::holds_alternative<OpenAiRequest>(parsed));
  EXPECT_TRUE(allows(std::get<OpenAiRequest>(parsed).choices.front().grammar, "b"));
}

}  // namespace
}  // namespace potluck
