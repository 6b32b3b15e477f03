// Requests, settings and events that the tests of the API translations share. Plain functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

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
  model.syntax.calls = ToolCallSyntax{"<tool_call>", "</tool_call>", "name", "arguments"};
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

}  // namespace potluck::test
