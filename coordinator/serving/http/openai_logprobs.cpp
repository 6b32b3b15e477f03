#include "coordinator/serving/http/openai_logprobs.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "coordinator/serving/http/json_object.h"
#include "engine/base/utf8.h"

namespace potluck {
namespace {

// JSON has no infinity; this is what OpenAI's API says of tokens that are next to impossible.
constexpr double kLowest = -9999;

double finite(double logprob) {
  return std::isfinite(logprob) ? logprob : kLowest;
}

JsonValue byte_list(std::string_view bytes) {
  JsonValue::Array list;
  for (const char byte : bytes) list.push_back(as_json(static_cast<unsigned char>(byte)));
  return JsonValue{std::move(list)};
}

JsonObject item(std::string text, const TokenLogprob& token) {
  JsonObject object;
  object.add("token", std::move(text))
      .add("logprob", finite(token.logprob))
      .add("bytes", byte_list(token.bytes));
  return object;
}

// Alternatives stand alone: bytes that are no characters become U+FFFD.
std::string text_alone(std::string_view bytes) {
  std::string rest(bytes);
  std::string text = take_characters(&rest);
  if (!rest.empty()) text += kReplacementCharacter;
  return text;
}

size_t count_characters(std::string_view text) {
  return std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

}  // namespace

std::string TokenTexts::next(std::string_view bytes) {
  pending_ += bytes;
  return take_characters(&pending_);
}

JsonValue::Array logprob_entries(std::span<const ChosenLogprob> tokens, TokenTexts* texts) {
  JsonValue::Array content;
  for (const ChosenLogprob& token : tokens) {
    JsonValue::Array top;
    for (const TokenLogprob& other : token.top) {
      top.push_back(item(text_alone(other.bytes), other).take());
    }
    JsonObject object = item(texts->next(token.chosen.bytes), token.chosen);
    content.push_back(object.add("top_logprobs", std::move(top)).take());
  }
  return content;
}

JsonValue chat_logprobs(const std::vector<ChosenLogprob>& tokens, TokenTexts* texts) {
  return JsonObject().add("content", logprob_entries(tokens, texts)).add("refusal", nullptr).take();
}

void LegacyLogprobs::add(const std::vector<ChosenLogprob>& tokens) {
  for (const ChosenLogprob& token : tokens) {
    std::string text = texts_.next(token.chosen.bytes);
    offsets_.push_back(as_json(offset_));
    offset_ += count_characters(text);
    tokens_.push_back(as_json(std::move(text)));
    logprobs_.push_back(as_json(finite(token.chosen.logprob)));
    JsonObject top;
    for (const TokenLogprob& other : token.top) {
      top.add(text_alone(other.bytes), finite(other.logprob));
    }
    top_.push_back(top.take());
  }
}

JsonValue LegacyLogprobs::take() {
  return JsonObject()
      .add("tokens", std::exchange(tokens_, {}))
      .add("token_logprobs", std::exchange(logprobs_, {}))
      .add("top_logprobs", std::exchange(top_, {}))
      .add("text_offset", std::exchange(offsets_, {}))
      .take();
}

}  // namespace potluck
