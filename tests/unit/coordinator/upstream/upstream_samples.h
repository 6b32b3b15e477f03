// Upstreams, requests and answers that the tests of this folder share. Plain functions.
#pragma once

#include <string>

#include "coordinator/serving/completion.h"
#include "coordinator/upstream/upstream.h"

namespace potluck::test {

inline constexpr const char* kSampleKey = "sk-very-secret-0123456789";

inline Upstream sample_upstream(UpstreamRules rules = {}) {
  Upstream upstream;
  upstream.name = "cloud";
  upstream.address = "https://api.example.org/v1";
  upstream.key = kSampleKey;
  upstream.models = {"large", "larger"};
  upstream.rules = rules;
  return upstream;
}

inline ChatMessage chat_message(std::string role, std::string text) {
  ChatMessage message;
  message.role = std::move(role);
  message.content = JsonValue{std::move(text)};
  return message;
}

inline CompletionRequest sample_chat(std::string text = "hi") {
  Conversation conversation;
  conversation.messages.push_back(chat_message("user", std::move(text)));
  CompletionRequest request;
  request.prompt = std::move(conversation);
  return request;
}

inline std::string openai_answer(const std::string& text) {
  return "data: {\"choices\": [{\"index\": 0, \"delta\": {\"role\": \"assistant\"}}]}\n\n"
         "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"" +
         text +
         "\"}}]}\n\n"
         "data: {\"choices\": [{\"index\": 0, \"delta\": {}, \"finish_reason\": \"stop\"}]}\n\n"
         "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 9, \"completion_tokens\": 2}}\n\n"
         "data: [DONE]\n\n";
}

}  // namespace potluck::test
