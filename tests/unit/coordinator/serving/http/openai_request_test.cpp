// What requests of OpenAI's API may hold: every field with its range, and the name that an error
// gives it.
#include "coordinator/serving/http/openai_request.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/http/openai_chat.h"
#include "coordinator/serving/http/openai_completions.h"
#include "engine/base/limits.h"
#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class OpenAiRequestTest : public testing::Test {
 protected:
  // `fields` beside a message that is good.
  OpenAiParsed parse(const std::string& fields) {
    const std::string comma = fields.empty() ? "" : ", ";
    return parse_chat_request(
        test::json_value(R"({"messages": [{"role": "user", "content": "hi"}])" + comma + fields +
                         "}"),
        setting());
  }
  RequestSetting setting() { return {model_, true, sampling_, 77}; }
  OpenAiRequest good(const std::string& fields) {
    OpenAiParsed parsed = parse(fields);
    const auto* error = std::get_if<ApiError>(&parsed);
    EXPECT_EQ(error, nullptr) << fields << ": " << (error != nullptr ? error->message : "");
    return error == nullptr ? std::get<OpenAiRequest>(parsed) : OpenAiRequest{};
  }
  ApiError bad(const std::string& fields) {
    OpenAiParsed parsed = parse(fields);
    const auto* error = std::get_if<ApiError>(&parsed);
    EXPECT_NE(error, nullptr) << fields;
    return error == nullptr ? ApiError{} : *error;
  }
  CompletionRequest first(const std::string& fields) {
    OpenAiRequest request = good(fields);
    return request.choices.empty() ? CompletionRequest{} : request.choices.front();
  }

  ServedModel model_ = test::sample_model();
  SamplingSettings sampling_;
};

TEST_F(OpenAiRequestTest, WhatIsNotSaidIsTheServers) {
  sampling_.temperature = 0.6;
  sampling_.top_k = 20;
  const OpenAiRequest request = good("");
  ASSERT_EQ(request.choices.size(), 1U);
  const CompletionRequest& only = request.choices[0];
  EXPECT_EQ(only.sampling.temperature, 0.6);
  EXPECT_EQ(only.sampling.top_k, 20U);
  EXPECT_EQ(only.sampling.seed, 77U);
  EXPECT_EQ(only.max_tokens, 0U);
  EXPECT_FALSE(only.top_logprobs.has_value());
  EXPECT_THAT(only.stop, IsEmpty());
  EXPECT_FALSE(request.stream || request.include_usage || request.logprobs);
  ASSERT_TRUE(std::holds_alternative<Conversation>(only.prompt));
  EXPECT_EQ(std::get<Conversation>(only.prompt).messages.size(), 1U);
}

TEST_F(OpenAiRequestTest, NullIsAsGoodAsAbsent) {
  std::string fields = R"("model": null)";
  for (const char* name : {"stream",
                           "stream_options",
                           "max_tokens",
                           "max_completion_tokens",
                           "temperature",
                           "top_p",
                           "stop",
                           "seed",
                           "presence_penalty",
                           "frequency_penalty",
                           "logit_bias",
                           "logprobs",
                           "top_logprobs",
                           "n",
                           "tools",
                           "tool_choice",
                           "response_format",
                           "json_schema",
                           "grammar",
                           "top_k",
                           "min_p",
                           "repeat_penalty",
                           "repetition_penalty",
                           "chat_template_kwargs",
                           "reasoning_effort",
                           "user",
                           "ignore_eos",
                           "parallel_tool_calls",
                           "metadata"}) {
    fields += ", \"" + std::string(name) + "\": null";
  }
  EXPECT_EQ(good(fields).choices.size(), 1U);
}

TEST_F(OpenAiRequestTest, UnknownMembersAreSkipped) {
  good(R"("metadata": {"a": [1]}, "store": true, "service_tier": "auto",
          "parallel_tool_calls": false, "safety_identifier": "x", "prompt_cache_key": "y",
          "verbosity": "low", "a_key_of_next_year": {"deep": [[[]]]})");
}

TEST_F(OpenAiRequestTest, ReadsSampling) {
  const CompletionRequest request =
      first(R"("temperature": 0, "top_p": 0.5, "top_k": 7, "min_p": 0.25, "repeat_penalty": 1.5,
               "repeat_last_n": 32, "seed": -1)");
  EXPECT_EQ(request.sampling.temperature, 0);
  EXPECT_EQ(request.sampling.top_p, 0.5);
  EXPECT_EQ(request.sampling.top_k, 7U);
  EXPECT_EQ(request.sampling.min_p, 0.25);
  EXPECT_EQ(request.sampling.repeat_penalty, 1.5);
  EXPECT_EQ(request.sampling.repeat_window, 32U);
  EXPECT_EQ(request.sampling.seed, UINT64_MAX);
  EXPECT_EQ(first(R"("repetition_penalty": 2)").sampling.repeat_penalty, 2);
  EXPECT_EQ(first(R"("top_k": -1)").sampling.top_k, 0U);
}

TEST_F(OpenAiRequestTest, ReadsTheRest) {
  const OpenAiRequest request =
      good(R"("stream": true, "stream_options": {"include_usage": true}, "max_tokens": 5.0,
              "stop": ["a", "b"], "logprobs": true, "top_logprobs": 3, "user": "u",
              "ignore_eos": true)");
  EXPECT_TRUE(request.stream && request.include_usage && request.logprobs);
  const CompletionRequest& only = request.choices.at(0);
  EXPECT_EQ(only.max_tokens, 5U);
  EXPECT_THAT(only.stop, ElementsAre("a", "b"));
  EXPECT_EQ(only.top_logprobs, 3U);
  EXPECT_EQ(only.user, "u");
  EXPECT_TRUE(only.ignore_end);
  EXPECT_EQ(first(R"("max_tokens": 5, "max_completion_tokens": 6)").max_tokens, 6U);
  EXPECT_THAT(first(R"("stop": "x")").stop, ElementsAre("x"));
  EXPECT_EQ(first(R"("logprobs": true)").top_logprobs, 0U);
  EXPECT_FALSE(first(R"("logprobs": false)").top_logprobs.has_value());
}

TEST_F(OpenAiRequestTest, ChoicesHaveSeedsOfTheirOwn) {
  const OpenAiRequest request = good(R"("n": 4, "seed": 5)");
  ASSERT_EQ(request.choices.size(), 4U);
  EXPECT_EQ(request.choices_per_prompt, 4U);
  std::set<uint64_t> seeds;
  for (const CompletionRequest& choice : request.choices) seeds.insert(choice.sampling.seed);
  EXPECT_EQ(seeds.size(), 4U);
  EXPECT_EQ(request.choices[0].sampling.seed, 5U);
  const OpenAiRequest again = good(R"("n": 2, "seed": 5)");
  EXPECT_EQ(again.choices[1].sampling.seed, request.choices[1].sampling.seed);
}

TEST_F(OpenAiRequestTest, NamesWhatIsOutOfRange) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("temperature": -0.1)", "temperature"},
      {R"("temperature": 2.1)", "temperature"},
      {R"("temperature": "hot")", "temperature"},
      {R"("top_p": 1.5)", "top_p"},
      {R"("top_p": -1)", "top_p"},
      {R"("min_p": 2)", "min_p"},
      {R"("top_k": -2)", "top_k"},
      {R"("top_k": 1.5)", "top_k"},
      {R"("repeat_penalty": 0)", "repeat_penalty"},
      {R"("presence_penalty": 2.5)", "presence_penalty"},
      {R"("frequency_penalty": -3)", "frequency_penalty"},
      {R"("logit_bias": {"1": 101})", "logit_bias.1"},
      {R"("logit_bias": {"one": 1})", "logit_bias.one"},
      {R"("logit_bias": {"-1": 1})", "logit_bias.-1"},
      {R"("logit_bias": [1])", "logit_bias"},
      {R"("seed": 18446744073709551615)", "seed"},
      {R"("seed": 0.5)", "seed"},
      {R"("max_tokens": 0)", "max_tokens"},
      {R"("max_tokens": -1)", "max_tokens"},
      {R"("max_tokens": 1e300)", "max_tokens"},
      {R"("max_tokens": 9223372036854775807)", "max_tokens"},
      {R"("max_completion_tokens": "5")", "max_completion_tokens"},
      {R"("n": 0)", "n"},
      {R"("n": 5)", "n"},
      {R"("stream": "yes")", "stream"},
      {R"("stream_options": true)", "stream_options"},
      {R"("stream_options": {"include_usage": 1})", "stream_options.include_usage"},
      {R"("stop": 5)", "stop"},
      {R"("stop": ["a", ""])", "stop"},
      {R"("stop": ["a", 1])", "stop"},
      {R"("logprobs": 3)", "logprobs"},
      {R"("logprobs": true, "top_logprobs": 21)", "top_logprobs"},
      {R"("top_logprobs": 2)", "top_logprobs"},
      {R"("response_format": {"type": "xml"})", "response_format"},
      {R"("response_format": {"type": "json_schema"})", "response_format.json_schema"},
      {R"("tool_choice": "required")", "tool_choice"},
      {R"("tool_choice": {"type": "function", "function": {"name": "look"}})", "tool_choice"},
      {R"("response_format": "text")", "response_format"},
      {R"("model": 5)", "model"},
      {R"("user": 5)", "user"},
      {R"("ignore_eos": "no")", "ignore_eos"},
      {R"("chat_template_kwargs": [])", "chat_template_kwargs"},
      {R"("reasoning_effort": 3)", "reasoning_effort"},
  };
  for (const auto& [fields, param] : cases) {
    const ApiError error = bad(fields);
    EXPECT_EQ(error.status, 400) << fields;
    EXPECT_EQ(error.type, "invalid_request_error") << fields;
    EXPECT_EQ(error.param, param) << fields;
    EXPECT_FALSE(error.message.empty());
  }
  good(R"("response_format": {"type": "text"})");
  EXPECT_THAT(bad(R"("temperature": 3)").message,
              HasSubstr("'temperature' must be between 0 and 2, but is 3"));
}

TEST_F(OpenAiRequestTest, ManyBiasesAreRefusedBeforeAnyIsRead) {
  std::string members;
  for (int i = 0; i <= 1024; ++i) {
    members += (i == 0 ? "\"" : ", \"") + std::to_string(i) + "\": \"no number\"";
  }
  EXPECT_EQ(bad("\"logit_bias\": {" + members + "}").param, "logit_bias");
}

TEST_F(OpenAiRequestTest, TheLastOfTwoMembersOfANameCounts) {
  EXPECT_EQ(first(R"("max_tokens": 1, "max_tokens": 2)").max_tokens, 2U);
}

TEST(CompletionsRequest, TakesEveryFormOfPrompt) {
  const ServedModel model = test::sample_model();
  const auto prompts = [&](const std::string& prompt) {
    auto parsed = parse_completions_request(test::json_value("{\"prompt\": " + prompt + "}"),
                                            {model, true, {}, 1});
    std::vector<CompletionPrompt> found;
    if (auto* request = std::get_if<OpenAiRequest>(&parsed)) {
      for (const CompletionRequest& choice : request->choices) found.push_back(choice.prompt);
    }
    return found;
  };
  using Tokens = std::vector<TokenId>;
  ASSERT_EQ(prompts(R"("one")").size(), 1U);
  EXPECT_EQ(std::get<std::string>(prompts(R"("one")")[0]), "one");
  EXPECT_EQ(std::get<std::string>(prompts(R"("")").at(0)), "");
  ASSERT_EQ(prompts(R"(["one", "two"])").size(), 2U);
  EXPECT_EQ(std::get<std::string>(prompts(R"(["one", "two"])")[1]), "two");
  ASSERT_EQ(prompts("[1, 2]").size(), 1U);
  EXPECT_EQ(std::get<Tokens>(prompts("[1, 2]")[0]), (Tokens{1, 2}));
  ASSERT_EQ(prompts("[[1], [2, 3]]").size(), 2U);
  EXPECT_EQ(std::get<Tokens>(prompts("[[1], [2, 3]]")[1]), (Tokens{2, 3}));
  for (const char* bad : {"null", "5", "{}", "[]", "[[]]", "[-1]", "[1, \"a\"]", "[4194304]",
                          "[\"a\", 5]", "[1.5]"}) {
    EXPECT_THAT(prompts(bad), IsEmpty()) << bad;
  }
}

TEST(CompletionsRequest, ReadsItsOwnFields) {
  const ServedModel model = test::sample_model();
  const auto parse = [&](const std::string& fields) {
    return parse_completions_request(test::json_value("{\"prompt\": [\"a\", \"b\"]" + fields + "}"),
                                     {model, true, {}, 1});
  };
  const auto good = std::get<OpenAiRequest>(parse(R"(, "logprobs": 2, "n": 2, "best_of": 2)"));
  EXPECT_EQ(good.choices.size(), 4U);
  EXPECT_EQ(good.choices_per_prompt, 2U);
  EXPECT_EQ(good.choices[0].top_logprobs, 2U);
  EXPECT_EQ(good.choices[0].max_tokens, 16U);
  EXPECT_EQ(std::get<std::string>(good.choices[2].prompt), "b");
  const std::pair<const char*, const char*> cases[] = {
      {R"(, "echo": true)", "echo"},       {R"(, "suffix": "x")", "suffix"},
      {R"(, "best_of": 3)", "best_of"},    {R"(, "logprobs": true)", "logprobs"},
      {R"(, "logprobs": 21)", "logprobs"},
  };
  for (const auto& [fields, param] : cases) {
    const OpenAiParsed parsed = parse(fields);
    const auto* error = std::get_if<ApiError>(&parsed);
    ASSERT_NE(error, nullptr) << fields;
    EXPECT_EQ(error->param, param);
  }
  EXPECT_TRUE(std::holds_alternative<OpenAiRequest>(parse(R"(, "echo": false, "suffix": "")")));
}

TEST(ParseBody, BoundsAndNamesWhatIsWrong) {
  JsonValue body;
  EXPECT_FALSE(parse_body(R"({"a": [1, "b,,[[{{\"{,"]})", &body));
  ASSERT_NE(body.object(), nullptr);
  for (const std::string& bad :
       {std::string(), std::string("{"), std::string("[]"), std::string("5"),
        std::string("{\"a\": \"\xFF\"}"), std::string("{\"a\": 1} x"),
        "{\"a\": " + std::string(100'000, '[') + std::string(100'000, ']') + "}"}) {
    const auto error = parse_body(bad, &body);
    ASSERT_TRUE(error.has_value()) << bad.substr(0, 20);
    EXPECT_EQ(error->status, 400);
    EXPECT_EQ(error->type, "invalid_request_error");
  }
  std::string many = "{\"a\": [0";
  for (int i = 0; i < 2'000'000; ++i) many += ",0";
  const auto error = parse_body(many + "]}", &body);
  ASSERT_TRUE(error.has_value());
  EXPECT_THAT(error->message, HasSubstr("2000000 values"));
}

}  // namespace
}  // namespace potluck
