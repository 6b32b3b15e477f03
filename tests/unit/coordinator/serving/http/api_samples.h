// Requests, settings and events that the tests of the API translations share. Plain functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "coordinator/serving/http/answer_writer.h"
#include "coordinator/serving/http/openai_answer.h"
#include "coordinator/serving/http/openai_request.h"

namespace potluck::test {

inline JsonValue json_value(std::string_view text) {
  auto parsed = parse_json(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? *std::move(parsed) : JsonValue{};
}

inline ServedModel sample_model() {
  ServedModel model{"taleteller", 1'700'000'000, 26,   15,   4096, 2048,
                    "qwen3moe",   "Q4_K_M",      true, true, true};
  model.syntax.calls = object_syntax("<tool_call>", "</tool_call>", "name", "arguments");
  return model;
}

inline AnswerIdentity sample_identity() {
  return {"id-1", 1'800'000'000, "taleteller", "potluck-1"};
}

inline CompletionEvent said(std::string content) {
  return CompletionDelta{{{}, std::move(content), {}}, {}};
}

inline CompletionEvent finished(FinishReason reason, CompletionUsage usage = {10, 4, 3}) {
  return CompletionFinished{reason, {}, usage, 0.5, 0.25};
}

// The JSON of each event of a stream; null for "[DONE]".
inline std::vector<nlohmann::json> stream_events(std::string_view bytes) {
  std::vector<nlohmann::json> events;
  while (!bytes.empty()) {
    const size_t end = bytes.find("\n\n");
    EXPECT_TRUE(bytes.starts_with("data: ") && end != bytes.npos) << bytes;
    if (end == bytes.npos) break;
    const std::string_view data = bytes.substr(6, end - 6);
    EXPECT_EQ(data.find('\n'), data.npos);
    events.push_back(data == "[DONE]" ? nlohmann::json() : nlohmann::json::parse(data));
    bytes.remove_prefix(end + 2);
  }
  return events;
}

// The JSON of each event of a stream whose events have names; each must be the event's "type".
inline std::vector<nlohmann::json> named_events(std::string_view bytes) {
  std::vector<nlohmann::json> events;
  while (!bytes.empty()) {
    const size_t line = bytes.find('\n');
    const size_t end = bytes.find("\n\n");
    const bool good = bytes.starts_with("event: ") && end != bytes.npos &&
                      bytes.substr(line + 1).starts_with("data: ");
    EXPECT_TRUE(good) << bytes;
    if (!good) break;
    events.push_back(nlohmann::json::parse(bytes.substr(line + 7, end - line - 7)));
    EXPECT_EQ(events.back()["type"], bytes.substr(7, line - 7));
    bytes.remove_prefix(end + 2);
  }
  return events;
}

inline std::vector<std::string> types_of(const std::vector<nlohmann::json>& events) {
  std::vector<std::string> types;
  for (const nlohmann::json& event : events) types.push_back(event["type"]);
  return types;
}

// What a writer makes of the events of its only choice.
inline std::string written(AnswerWriter& writer, const std::vector<CompletionEvent>& events) {
  std::string bytes;
  for (const CompletionEvent& event : events) {
    EXPECT_FALSE(writer.done());
    bytes += writer.take(0, event);
  }
  EXPECT_TRUE(writer.done());
  return bytes;
}

inline CompletionEvent called(std::string id, std::string_view arguments) {
  return CompletionDelta{{{}, {}, {{std::move(id), "look", json_value(arguments)}}}, {}, {}};
}

inline CompletionEvent thought(std::string text) {
  return CompletionDelta{{std::move(text), {}, {}}, {}, {}};
}

}  // namespace potluck::test
