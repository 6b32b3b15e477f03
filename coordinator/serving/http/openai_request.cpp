#include "coordinator/serving/http/openai_request.h"

#include "coordinator/serving/http/sampling_fields.h"
#include "engine/base/limits.h"
#include "engine/base/random.h"

namespace potluck {
namespace {

constexpr uint32_t kChoices = 4;

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
  common.request.sampling = read_sampling(fields, setting);
  if (const auto most = fields.whole("max_tokens", 1, limits::kContext)) {
    common.request.max_tokens = static_cast<uint32_t>(*most);
  }
  common.request.stop = read_stop(fields, "stop");
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
