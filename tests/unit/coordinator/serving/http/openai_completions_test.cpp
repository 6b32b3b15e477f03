// Answers of /v1/completions, from scripted events.
#include "coordinator/serving/http/openai_completions.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using nlohmann::json;
using test::finished;
using test::said;

OpenAiRequest completions_request(size_t choices, bool stream, bool logprobs = false) {
  OpenAiRequest request;
  request.choices.resize(choices);
  request.stream = stream;
  request.include_usage = true;
  request.logprobs = logprobs;
  return request;
}

TEST(OpenAiCompletions, AWholeAnswer) {
  TextWriter writer(test::sample_identity(), completions_request(2, false));
  EXPECT_FALSE(writer.streams());
  EXPECT_EQ(writer.content_type(), "application/json");
  EXPECT_EQ(writer.take(0, CompletionAdmitted{10}), "");
  EXPECT_EQ(writer.take(0, said("Once ")), "");
  EXPECT_EQ(writer.take(1, said("Twice")), "");
  EXPECT_EQ(writer.take(1, finished(FinishReason::kStop)), "");
  EXPECT_EQ(writer.take(0, said("upon")), "");
  const json answer = json::parse(writer.take(0, finished(FinishReason::kLength)));
  EXPECT_EQ(answer["object"], "text_completion");
  EXPECT_EQ(answer["choices"], json::parse(R"([
      {"text": "Once upon", "index": 0, "logprobs": null, "finish_reason": "length"},
      {"text": "Twice", "index": 1, "logprobs": null, "finish_reason": "stop"}])"));
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 20);  // two prompts
}

TEST(OpenAiCompletions, AStreamHasTheSameShape) {
  TextWriter writer(test::sample_identity(), completions_request(1, true));
  EXPECT_EQ(writer.content_type(), "text/event-stream");
  std::string bytes = writer.take(0, CompletionAdmitted{10});
  EXPECT_EQ(bytes, "");
  bytes += writer.take(0, said("Once "));
  bytes += writer.take(0, said("upon"));
  bytes += writer.take(0, finished(FinishReason::kStop));
  const auto events = test::stream_events(bytes);
  ASSERT_EQ(events.size(), 5U);
  EXPECT_EQ(events[0]["object"], "text_completion");
  EXPECT_EQ(events[0]["choices"], json::parse(R"([{"text": "Once ", "index": 0, "logprobs": null,
      "finish_reason": null}])"));
  EXPECT_EQ(events[1]["choices"][0]["text"], "upon");
  EXPECT_EQ(events[2]["choices"][0]["text"], "");
  EXPECT_EQ(events[2]["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(events[3]["choices"], json::array());
  EXPECT_EQ(events[3]["usage"]["completion_tokens"], 3);
  EXPECT_TRUE(events[4].is_null());
}

TEST(OpenAiCompletions, LogprobsAreListsWithOffsetsInCharacters) {
  const CompletionDelta euro{{{}, "€€", {}}, {{{"€", -0.5}, {{"€", -0.5}}}, {{"€", -1}, {}}}};
  const CompletionDelta end{{{}, "!", {}}, {{{"!", -INFINITY}, {}}}};
  TextWriter writer(test::sample_identity(), completions_request(1, false, true));
  writer.take(0, euro);
  writer.take(0, end);
  const json answer = json::parse(writer.take(0, finished(FinishReason::kStop)));
  EXPECT_EQ(answer["choices"][0]["logprobs"], json::parse(R"({"tokens": ["€", "€", "!"],
      "token_logprobs": [-0.5, -1.0, -9999.0], "top_logprobs": [{"€": -0.5}, {}, {}],
      "text_offset": [0, 1, 2]})"));

  TextWriter stream(test::sample_identity(), completions_request(1, true, true));
  const auto first = test::stream_events(stream.take(0, euro));
  const auto second = test::stream_events(stream.take(0, end));
  EXPECT_EQ(first.at(0)["choices"][0]["logprobs"]["text_offset"], json::parse("[0, 1]"));
  EXPECT_EQ(second.at(0)["choices"][0]["logprobs"]["text_offset"], json::parse("[2]"));
}

}  // namespace
}  // namespace potluck
