#include "coordinator/cli/chat_settings.h"

#include <limits>

#include <fmt/format.h>

#include "coordinator/cli/number_text.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr const char* kNames = "temp, top-k, top-p, min-p, repeat-penalty, seed or max-tokens";

template <class T>
Status put_whole(std::string_view text, WholeRange range, T* target) {
  auto value = read_whole(text, range);
  if (!value) return value.error();
  *target = static_cast<T>(*value);
  return {};
}

Status put_decimal(std::string_view text, DecimalRange range, double* target) {
  auto value = read_decimal(text, range);
  if (!value) return value.error();
  *target = *value;
  return {};
}

Status put(std::string_view name, std::string_view value, GenerationRequest* request) {
  SamplingSettings& sampling = request->sampling;
  if (name == "temp") return put_decimal(value, {0, kLargestTemperature}, &sampling.temperature);
  if (name == "top-k") return put_whole(value, {0, limits::kVocabulary}, &sampling.top_k);
  if (name == "top-p") return put_decimal(value, {0, 1}, &sampling.top_p);
  if (name == "min-p") return put_decimal(value, {0, 1}, &sampling.min_p);
  if (name == "repeat-penalty") {
    return put_decimal(value, {kSmallestPenalty, kLargestPenalty}, &sampling.repeat_penalty);
  }
  if (name == "seed") {
    return put_whole(value, {0, std::numeric_limits<uint64_t>::max()}, &sampling.seed);
  }
  if (name == "max-tokens") return put_whole(value, {0, limits::kContext}, &request->max_tokens);
  return Error{ErrorCode::kInvalidArgument, fmt::format("expected {}", kNames)};
}

}  // namespace

Status change_setting(std::string_view words, GenerationRequest* request) {
  const size_t end = words.find_first_of(" \t=");
  const std::string_view name = words.substr(0, end);
  std::string_view value = end == std::string_view::npos ? std::string_view() : words.substr(end);
  value.remove_prefix(std::min(value.find_first_not_of(" \t="), value.size()));
  GenerationRequest changed = *request;
  Status done = put(name, value, &changed);
  if (done) done = check_sampling(changed.sampling);
  if (!done) return done.error().in(fmt::format("/set {}", name));
  *request = std::move(changed);
  return {};
}

std::string describe_settings(const GenerationRequest& request) {
  const SamplingSettings& sampling = request.sampling;
  return fmt::format(
      "temp {}, top-k {}, top-p {}, min-p {}, repeat-penalty {}, seed {}, max-tokens {}",
      sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p, sampling.repeat_penalty,
      sampling.seed, request.max_tokens);
}

}  // namespace potluck
