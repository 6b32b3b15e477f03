#include "coordinator/serving/http/first_call_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/http/openai_chat.h"
#include "tests/unit/coordinator/serving/http/api_samples.h"

namespace potluck {
namespace {

using nlohmann::json;
using test::called;
using test::finished;
using test::said;

std::unique_ptr<FirstCallWriter> writer_of(bool stream) {
  OpenAiRequest request;
  request.choices.resize(1);
  std::unique_ptr<AnswerWriter> inner;
  if (stream) {
    inner = std::make_unique<ChatStreamWriter>(test::sample_identity(), request);
  } else {
    inner = std::make_unique<ChatBodyWriter>(test::sample_identity(), request);
  }
  return std::make_unique<FirstCallWriter>(std::move(inner));
}

json first_choice(const std::vector<CompletionEvent>& events) {
  return json::parse(test::written(*writer_of(false), events))["choices"][0];
}

TEST(FirstCallWriter, NothingComesBehindTheFirstCall) {
  const json choice =
      first_choice({CompletionAdmitted{1}, said("I look. "), called("c1", "{}"), said("And "),
                    called("c2", "{}"), said("then."), finished(FinishReason::kLength)});
  EXPECT_EQ(choice["message"]["content"], "I look. ");
  ASSERT_EQ(choice["message"]["tool_calls"].size(), 1U);
  EXPECT_EQ(choice["message"]["tool_calls"][0]["id"], "c1");
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
}

TEST(FirstCallWriter, OfSeveralCallsAtOnceOneIsLeft) {
  CompletionDelta two;
  two.piece.calls = {{"c1", "look", test::json_value("{}")},
                     {"c2", "look", test::json_value("{}")}};
  const json choice = first_choice({two, finished(FinishReason::kToolCalls)});
  ASSERT_EQ(choice["message"]["tool_calls"].size(), 1U);
  EXPECT_EQ(choice["message"]["tool_calls"][0]["id"], "c1");
}

TEST(FirstCallWriter, ACallGrowsAndTheNextOneDoesNotBegin) {
  CompletionDelta begins;
  begins.piece.growth = {{true, "c1", "look", R"({"at")"}};
  CompletionDelta goes_on;
  goes_on.piece.growth = {{false, {}, {}, R"(: 1})"}, {true, "c2", "look", "{"}};
  goes_on.piece.calls = {{"c1", "look", test::json_value(R"({"at": 1})")}};
  CompletionDelta next;
  next.piece.growth = {{false, {}, {}, "}"}};
  next.piece.calls = {{"c2", "look", test::json_value("{}")}};
  const auto writer = writer_of(true);
  const std::string text = test::written(
      *writer, {CompletionAdmitted{1}, begins, goes_on, next, finished(FinishReason::kToolCalls)});
  std::string arguments;
  for (const json& event : test::stream_events(text)) {
    if (event.is_null()) continue;
    const json& delta = event["choices"][0]["delta"];
    if (!delta.contains("tool_calls")) continue;
    for (const json& call : delta["tool_calls"]) {
      EXPECT_EQ(call["index"], 0);
      arguments += call["function"].value("arguments", "");
    }
  }
  EXPECT_EQ(arguments, R"({"at": 1})");
  EXPECT_EQ(text.find("c2"), std::string::npos);
}

TEST(FirstCallWriter, AnswersWithoutCallsAreWhatTheyAre) {
  const json choice = first_choice({said("a"), said("b"), finished(FinishReason::kLength)});
  EXPECT_EQ(choice["message"]["content"], "ab");
  EXPECT_EQ(choice["finish_reason"], "length");
}

TEST(FirstCallWriter, StreamsAsTheOtherOneDoes) {
  const auto writer = writer_of(true);
  EXPECT_TRUE(writer->streams());
  EXPECT_EQ(writer->content_type(), "text/event-stream");
  const auto events = test::stream_events(
      test::written(*writer, {CompletionAdmitted{1}, called("c1", "{}"), called("c2", "{}"),
                              said("x"), finished(FinishReason::kToolCalls)}));
  size_t calls = 0;
  for (const json& event : events) {
    if (event.is_null()) continue;
    const json& delta = event["choices"][0]["delta"];
    calls += delta.contains("tool_calls") ? delta["tool_calls"].size() : 0;
    EXPECT_NE(delta.value("content", ""), "x");
  }
  EXPECT_EQ(calls, 1U);
}

}  // namespace
}  // namespace potluck
