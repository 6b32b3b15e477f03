#include "coordinator/serving/http/openai_request.h"

#include <fmt/format.h>

#include "coordinator/serving/http/sampling_fields.h"
#include "engine/base/limits.h"
#include "engine/base/random.h"

namespace potluck {
namespace {

constexpr uint32_t kChoices = 4;
constexpr size_t kStopTexts = 16;  // OpenAI's API takes 4, other servers more
constexpr size_t kStopBytes = 1024;

std::vector<std::string> read_stop(JsonFields& fields) {
  const JsonValue* stop = fields.find("stop");
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
    fields.fail("stop", fmt::format("'stop' must be a text or up to {} of them, none empty or "
                                    "longer than {} bytes",
                                    kStopTexts, kStopBytes));
  }
  return out;
}

bool read_include_usage(JsonFields& fields) {
  const JsonValue* options = fields.object("stream_options");
  if (options == nullptr) return false;
  JsonFields inner(*options, "stream_options", fields.error());
  return inner.flag("include_usage").value_or(false);
}

}  // namespace

OpenAiCommon read_common(JsonFields& fields, const RequestSetting& setting) {
  OpenAiCommon common;
  fields.text("model");
  common.request.sampling = setting.sampling;
  common.request.sampling.seed = setting.seed;
  read_sampling(fields, &common.request.sampling);
  if (const auto most = fields.whole("max_tokens", 1, limits::kContext)) {
    common.request.max_tokens = static_cast<uint32_t>(*most);
  }
  common.request.stop = read_stop(fields);
  common.request.ignore_end = fields.flag("ignore_eos").value_or(false);
  common.request.user = fields.text("user").value_or("");
  common.choices = static_cast<uint32_t>(fields.whole("n", 1, kChoices).value_or(1));
  common.stream = fields.flag("stream").value_or(false);
  common.include_usage = read_include_usage(fields);
  return common;
}

std::vector<CompletionRequest> repeat_with_seeds(const CompletionRequest& request, uint32_t count) {
  std::vector<CompletionRequest> repeated(count, request);
  const CounterRandom seeds(request.sampling.seed);
  for (uint32_t i = 1; i < count; ++i) repeated[i].sampling.seed = seeds.bits(i);
  return repeated;
}

}  // namespace potluck
