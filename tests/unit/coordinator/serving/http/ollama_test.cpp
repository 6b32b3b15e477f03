// Requests and answers of Ollama's API.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/http/ollama_answer.h"
#include "coordinator/serving/http/ollama_request.h"
#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using nlohmann::json;
using test::finished;
using test::said;

using Parse = OllamaParsed (*)(const JsonValue&, const RequestSetting&);

OllamaParsed ollama_parsed(Parse parse, std::string_view body,
                           const ServedModel& model = test::sample_model()) {
  return parse(test::json_value(body), {model, true, {}, 7});
}

OllamaRequest ollama_request(Parse parse, std::string_view body) {
  OllamaParsed result = ollama_parsed(parse, body);
  const auto* error = std::get_if<ApiError>(&result);
  EXPECT_EQ(error, nullptr) << error->message;
  return error != nullptr ? OllamaRequest{} : std::get<OllamaRequest>(std::move(result));
}

TEST(OllamaRequest, OptionsAreSettings) {
  const OllamaRequest asked = ollama_request(parse_ollama_chat, R"({"model": "any", "stream": false,
      "messages": [{"role": "user", "content": "hi"}], "keep_alive": "5m", "think": "low",
      "options": {"num_predict": 5, "temperature": 0.5, "seed": 3, "stop": ["x"], "top_k": 4,
                  "num_ctx": 8192, "repeat_last_n": -1}})");
  EXPECT_FALSE(asked.stream);
  EXPECT_FALSE(asked.only_load);
  EXPECT_EQ(asked.request.max_tokens, 5U);
  EXPECT_EQ(asked.request.sampling.seed, 3U);
  EXPECT_EQ(asked.request.sampling.top_k, 4U);
  EXPECT_EQ(asked.request.stop, std::vector<std::string>{"x"});
  const auto& conversation = std::get<Conversation>(asked.request.prompt);
  ASSERT_EQ(conversation.arguments.size(), 1U);
  EXPECT_EQ(conversation.arguments[0].first, "reasoning_effort");
  const OllamaRequest all = ollama_request(parse_ollama_chat, R"({"options": {"num_predict": -1},
      "messages": [{"role": "user", "content": "hi"}], "think": false})");
  EXPECT_TRUE(all.stream);
  EXPECT_EQ(all.request.max_tokens, 0U);
  EXPECT_EQ(std::get<Conversation>(all.request.prompt).arguments[0].first, "enable_thinking");
}

TEST(OllamaRequest, MessagesHaveCallsAndThoughts) {
  const OllamaRequest asked = ollama_request(parse_ollama_chat, R"({"messages": [
      {"role": "assistant", "thinking": "hm", "content": "",
       "tool_calls": [{"function": {"name": "look", "arguments": {"at": 1}}}]},
      {"role": "tool", "content": "a tree", "tool_name": "look"}],
      "tools": [{"type": "function", "function": {"name": "look"}}]})");
  const auto& conversation = std::get<Conversation>(asked.request.prompt);
  EXPECT_EQ(conversation.messages[0].reasoning_content, "hm");
  ASSERT_EQ(conversation.messages[0].tool_calls.size(), 1U);
  EXPECT_EQ(write_json(conversation.messages[0].tool_calls[0].arguments), R"({"at": 1})");
  EXPECT_EQ(conversation.messages[1].name, "look");
  EXPECT_EQ(conversation.tools.size(), 1U);
}

TEST(OllamaRequest, GenerateTakesTheTemplateUnlessItIsRaw) {
  const auto chat =
      ollama_request(parse_ollama_generate, R"({"prompt": "hi", "system": "be brief"})").request;
  const auto& conversation = std::get<Conversation>(chat.prompt);
  ASSERT_EQ(conversation.messages.size(), 2U);
  EXPECT_EQ(conversation.messages[0].role, "system");
  EXPECT_EQ(*conversation.messages[1].content.text(), "hi");
  const auto raw =
      ollama_request(parse_ollama_generate, R"({"prompt": "hi", "raw": true})").request;
  EXPECT_EQ(std::get<std::string>(raw.prompt), "hi");
  EXPECT_TRUE(ollama_request(parse_ollama_generate, R"({"model": "x"})").only_load);
  EXPECT_TRUE(ollama_request(parse_ollama_chat, R"({"model": "x", "messages": []})").only_load);
}

TEST(OllamaRequest, WhatIsWrongIsNamed) {
  const std::tuple<Parse, const char*, const char*> cases[] = {
      {parse_ollama_chat, R"({"messages": [{"role": "king"}]})", "messages[0].role"},
      {parse_ollama_chat, R"({"messages": [{"role": "user", "images": ["x"]}]})",
       "messages[0].images"},
      {parse_ollama_chat, R"({"messages": [{"role": "user", "tool_calls": [{}]}]})",
       "messages[0].tool_calls[0].function"},
      {parse_ollama_chat, R"({"options": {"temperature": 9}})", "options.temperature"},
      {parse_ollama_chat, R"({"options": {"num_predict": -3}})", "options.num_predict"},
      {parse_ollama_chat, R"({"format": "xml"})", "format"},
      {parse_ollama_chat, R"({"format": {"not": {}}})", "format"},
      {parse_ollama_chat, R"({"think": 1})", "think"},
      {parse_ollama_chat, R"({"tools": [{}]})", "tools[0].function"},
      {parse_ollama_generate, R"({"prompt": "x", "suffix": "y"})", "suffix"},
      {parse_ollama_generate, R"({"prompt": "x", "images": ["y"]})", "images"},
      {parse_ollama_generate, R"({"prompt": "x", "template": "y"})", "template"},
      {parse_ollama_generate, R"({"prompt": "x", "context": [1]})", "context"},
  };
  for (const auto& [parse, body, param] : cases) {
    OllamaParsed result = ollama_parsed(parse, body);
    ASSERT_TRUE(std::holds_alternative<ApiError>(result)) << body;
    EXPECT_EQ(std::get<ApiError>(result).param, param) << body;
  }
}

std::vector<json> lines_of(std::string_view bytes) {
  std::vector<json> lines;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    EXPECT_NE(end, bytes.npos) << bytes;
    if (end == bytes.npos) break;
    lines.push_back(json::parse(bytes.substr(0, end)));
    bytes.remove_prefix(end + 1);
  }
  return lines;
}

const std::vector<CompletionEvent>& ollama_everything() {
  static const std::vector<CompletionEvent> events{CompletionAdmitted{10},
                                                   test::thought("hm"),
                                                   said("I "),
                                                   said("look"),
                                                   test::called("c1", R"({"at": 1})"),
                                                   finished(FinishReason::kToolCalls)};
  return events;
}

TEST(OllamaAnswer, AWholeChat) {
  OllamaWriter writer(test::sample_identity(), OllamaWriter::Form::kChat, false);
  const json answer = json::parse(test::written(writer, ollama_everything()));
  EXPECT_EQ(answer["model"], "taleteller");
  EXPECT_EQ(answer["created_at"], "2027-01-15T08:00:00Z");
  EXPECT_EQ(answer["message"], json::parse(R"({"role": "assistant", "content": "I look",
      "thinking": "hm", "tool_calls": [{"id": "c1",
      "function": {"index": 0, "name": "look", "arguments": {"at": 1}}}]})"));
  EXPECT_EQ(answer["done"], true);
  EXPECT_EQ(answer["done_reason"], "stop");
  EXPECT_EQ(answer["prompt_eval_count"], 10);
  EXPECT_EQ(answer["prompt_eval_duration"], 500'000'000);
  EXPECT_EQ(answer["eval_count"], 3);
  EXPECT_EQ(answer["eval_duration"], 250'000'000);
  EXPECT_EQ(answer["total_duration"], 750'000'000);
}

TEST(OllamaAnswer, AStreamIsALineForEachPiece) {
  OllamaWriter writer(test::sample_identity(), OllamaWriter::Form::kChat, true);
  EXPECT_EQ(writer.content_type(), "application/x-ndjson");
  const auto lines = lines_of(test::written(writer, ollama_everything()));
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[0]["message"]["thinking"], "hm");
  EXPECT_EQ(lines[1]["message"]["content"], "I ");
  EXPECT_EQ(lines[1]["done"], false);
  EXPECT_EQ(lines[3]["message"]["tool_calls"].size(), 1U);
  EXPECT_EQ(lines[4]["message"]["content"], "");
  EXPECT_EQ(lines[4]["done"], true);
  EXPECT_EQ(lines_of(writer.idle_comment()).at(0)["message"]["content"], "");
  EXPECT_EQ(lines_of(writer.failure({500, "server_error", "it broke"})).at(0)["error"], "it broke");
}

TEST(OllamaAnswer, GeneratedTextHasAMemberOfItsOwn) {
  OllamaWriter writer(test::sample_identity(), OllamaWriter::Form::kGenerate, true);
  const auto lines = lines_of(test::written(writer, {said("x"), finished(FinishReason::kLength)}));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["response"], "x");
  EXPECT_EQ(lines[1]["response"], "");
  EXPECT_EQ(lines[1]["done_reason"], "length");
  EXPECT_EQ(json::parse(write_json(writer.loaded()))["done_reason"], "load");
}

TEST(OllamaAnswer, TheModelIsDescribed) {
  const json tags = json::parse(write_json(ollama_tags(test::sample_model())));
  EXPECT_EQ(tags["models"][0]["name"], "taleteller");
  EXPECT_EQ(tags["models"][0]["digest"].get<std::string>().size(), 64U);
  EXPECT_EQ(tags["models"][0]["modified_at"], "2023-11-14T22:13:20Z");
  ServedModel model = test::sample_model();
  model.parameters = 30'500'000'000;
  model.calls_tools = false;
  const json shown = json::parse(write_json(ollama_show(model)));
  EXPECT_EQ(shown["capabilities"], json::parse(R"(["completion", "thinking"])"));
  EXPECT_EQ(shown["details"]["parameter_size"], "30.5B");
  EXPECT_EQ(shown["model_info"]["qwen3moe.context_length"], 4096);
  const json running = json::parse(write_json(ollama_running(model)));
  EXPECT_EQ(running["models"][0]["context_length"], 4096);
}

}  // namespace
}  // namespace potluck
