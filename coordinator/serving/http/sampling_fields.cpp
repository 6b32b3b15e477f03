#include "coordinator/serving/http/sampling_fields.h"

#include <charconv>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr double kHighestTemperature = 2;
constexpr double kHighestPenalty = 2;  // of presence and frequency, and -2 the lowest
constexpr double kHighestBias = 100;
constexpr size_t kBiases = 1024;
constexpr size_t kStopTexts = 16;  // OpenAI's API takes 4, other servers more
constexpr size_t kStopBytes = 1024;

struct Penalties {
  double presence = 0;
  double frequency = 0;
  std::vector<std::pair<TokenId, double>> logit_bias;  // by ascending id
};

std::optional<TokenId> token_id(std::string_view text) {
  TokenId id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (id < 0 || static_cast<uint32_t>(id) >= limits::kVocabulary) return std::nullopt;
  return id;
}

std::vector<std::pair<TokenId, double>> read_logit_bias(JsonFields& fields) {
  const JsonValue* object = fields.object("logit_bias");
  if (object == nullptr) return {};
  // First: each of them is looked for among all.
  if (object->object()->size() > kBiases) {
    fields.fail("logit_bias", fmt::format("'logit_bias' may name at most {} tokens", kBiases));
    return {};
  }
  JsonFields biases(*object, "logit_bias", fields.error());
  std::map<TokenId, double> by_id;
  for (const auto& [name, value] : *object->object()) {
    const auto id = token_id(name);
    const auto bias = biases.number(name, -kHighestBias, kHighestBias);
    if (!id) biases.fail(name, fmt::format("'{}' in 'logit_bias' is no token id", name));
    if (id && bias) by_id[*id] = *bias;
    if (fields.failed()) return {};
  }
  return {by_id.begin(), by_id.end()};
}

void set_penalties(const Penalties& penalties, SamplingSettings* settings) {
  settings->presence_penalty = penalties.presence;
  settings->frequency_penalty = penalties.frequency;
  for (const auto& [token, bias] : penalties.logit_bias) {
    settings->logit_bias.push_back({token, bias});
  }
}

}  // namespace

void read_sampling(JsonFields& fields, SamplingSettings* settings) {
  const auto take = [](auto value, auto* into) {
    if (value) *into = static_cast<std::remove_pointer_t<decltype(into)>>(*value);
  };
  take(fields.number("temperature", 0, kHighestTemperature), &settings->temperature);
  take(fields.number("top_p", 0, 1), &settings->top_p);
  take(fields.number("min_p", 0, 1), &settings->min_p);
  // Other servers take -1 for "off".
  if (const auto k = fields.whole("top_k", -1, limits::kVocabulary)) {
    settings->top_k = *k < 0 ? 0 : static_cast<uint32_t>(*k);
  }
  constexpr double kLowestRepeat = 0.01;
  constexpr double kHighestRepeat = 10;
  take(fields.number("repetition_penalty", kLowestRepeat, kHighestRepeat),
       &settings->repeat_penalty);
  take(fields.number("repeat_penalty", kLowestRepeat, kHighestRepeat), &settings->repeat_penalty);
  // -1: the whole context.
  if (const auto window = fields.whole("repeat_last_n", -1, limits::kContext)) {
    settings->repeat_window = *window < 0 ? limits::kContext : static_cast<uint32_t>(*window);
  }
  take(fields.whole("seed", std::numeric_limits<int64_t>::min(),
                    std::numeric_limits<int64_t>::max()),
       &settings->seed);
  Penalties penalties;
  take(fields.number("presence_penalty", -kHighestPenalty, kHighestPenalty), &penalties.presence);
  take(fields.number("frequency_penalty", -kHighestPenalty, kHighestPenalty), &penalties.frequency);
  penalties.logit_bias = read_logit_bias(fields);
  set_penalties(penalties, settings);
}

SamplingSettings read_sampling(JsonFields& fields, const RequestSetting& setting) {
  SamplingSettings settings = setting.sampling;
  settings.seed = setting.seed;
  read_sampling(fields, &settings);
  return settings;
}

std::vector<std::string> read_stop(JsonFields& fields, std::string_view key) {
  const JsonValue* stop = fields.find(key);
  if (stop == nullptr) return {};
  JsonValue::Array single;
  if (stop->text() != nullptr) single.push_back(*stop);
  const JsonValue::Array* texts = stop->text() != nullptr ? &single : stop->array();
  std::vector<std::string> out;
  bool good = texts != nullptr && texts->size() <= kStopTexts;
  for (size_t i = 0; good && i < texts->size(); ++i) {
    const std::string* text = (*texts)[i].text();
    good = text != nullptr && !text->empty() && text->size() <= kStopBytes;
    if (good) out.push_back(*text);
  }
  if (!good) {
    fields.fail(key, fmt::format("'{}' must be a text or up to {} of them, none empty or longer "
                                 "than {} bytes",
                                 fields.path(key), kStopTexts, kStopBytes));
  }
  return out;
}

}  // namespace potluck
