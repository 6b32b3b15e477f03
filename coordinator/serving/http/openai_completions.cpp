#include "coordinator/serving/http/openai_completions.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "coordinator/serving/http/answer_demands.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr size_t kPrompts = 16;
constexpr uint32_t kDefaultTokens = 16;  // of this route in OpenAI's API

constexpr const char* kPromptForms =
    "'prompt' must be a text, an array of texts, an array of token ids or an array of such arrays";

std::optional<std::vector<TokenId>> token_list(const JsonValue::Array& list) {
  std::vector<TokenId> tokens;
  tokens.reserve(list.size());
  for (const JsonValue& entry : list) {
    const auto id = whole_number(entry);
    if (!id || *id < 0 || *id >= limits::kVocabulary) return std::nullopt;
    tokens.push_back(static_cast<TokenId>(*id));
  }
  if (tokens.empty()) return std::nullopt;
  return tokens;
}

std::optional<CompletionPrompt> one_prompt(const JsonValue& value) {
  if (value.text() != nullptr) return *value.text();
  if (value.array() == nullptr) return std::nullopt;
  auto tokens = token_list(*value.array());
  if (!tokens) return std::nullopt;
  return *std::move(tokens);
}

std::vector<CompletionPrompt> read_prompts(JsonFields& fields) {
  std::vector<CompletionPrompt> prompts;
  const JsonValue* value = fields.find("prompt");
  if (value == nullptr) {
    fields.fail("prompt", "'prompt' is missing");
    return prompts;
  }
  const JsonValue::Array* list = value->array();
  const bool several = list != nullptr && !list->empty() && !whole_number(list->front());
  const size_t count = several ? list->size() : 1;
  if (count > kPrompts) {
    fields.fail("prompt", fmt::format("'prompt' may hold at most {} prompts", kPrompts));
    return prompts;
  }
  for (size_t i = 0; i < count; ++i) {
    auto prompt = one_prompt(several ? (*list)[i] : *value);
    if (!prompt) {
      fields.fail("prompt", kPromptForms);
      return prompts;
    }
    prompts.push_back(*std::move(prompt));
  }
  return prompts;
}

void refuse_unsupported(JsonFields& fields, uint32_t choices) {
  if (fields.flag("echo").value_or(false)) {
    fields.fail(not_supported("echo", "'echo' is not supported"));
  }
  if (!fields.text("suffix").value_or("").empty()) {
    fields.fail(not_supported("suffix", "'suffix' is not supported"));
  }
  if (fields.whole("best_of", 1, kPrompts).value_or(choices) != choices) {
    fields.fail(not_supported("best_of", "'best_of' is not supported beyond 'n'"));
  }
}

}  // namespace

OpenAiParsed parse_completions_request(const JsonValue& body, const RequestSetting& setting) {
  std::optional<ApiError> error;
  JsonFields fields(body, "", &error);
  OpenAiCommon common = read_common(fields, setting);
  if (common.request.max_tokens == 0) common.request.max_tokens = kDefaultTokens;
  if (const auto top = fields.whole("logprobs", 0, kTopLogprobs)) {
    common.request.top_logprobs = static_cast<uint32_t>(*top);
  }
  refuse_unsupported(fields, common.choices);
  common.request.grammar = format_grammar(read_openai_formats(fields), setting, fields);
  std::vector<CompletionPrompt> prompts = read_prompts(fields);
  if (error) return *std::move(error);
  OpenAiRequest request;
  for (CompletionPrompt& prompt : prompts) {
    common.request.prompt = std::move(prompt);
    for (CompletionRequest& choice : repeat_with_seeds(common.request, common.choices)) {
      request.choices.push_back(std::move(choice));
    }
  }
  request.choices_per_prompt = common.choices;
  request.stream = common.stream;
  request.include_usage = common.include_usage;
  request.logprobs = common.request.top_logprobs.has_value();
  return request;
}

TextWriter::TextWriter(AnswerIdentity identity, const OpenAiRequest& request)
    : identity_(std::move(identity)),
      stream_(request.stream),
      include_usage_(request.include_usage),
      logprobs_(request.logprobs),
      choices_per_prompt_(request.choices_per_prompt),
      choices_(request.choices.size()),
      finished_(request.choices.size()) {}

std::string TextWriter::take(size_t choice, const CompletionEvent& event) {
  if (const auto* delta = std::get_if<CompletionDelta>(&event)) {
    keep(choice, *delta);
    return stream_ ? chunk(choice, {}) : std::string();
  }
  const auto* finished = std::get_if<CompletionFinished>(&event);
  if (finished == nullptr) return {};
  finished_.add(choice, *finished);
  if (!stream_) return finished_.all() ? whole() : std::string();
  std::string bytes = chunk(choice, as_json(finish_reason_name(finished->reason, false)));
  return finished_.all() ? bytes + stream_end() : bytes;
}

void TextWriter::keep(size_t index, const CompletionDelta& delta) {
  choices_[index].text += delta.piece.content;
  if (logprobs_) choices_[index].logprobs.add(delta.logprobs);
}

JsonValue TextWriter::take_choice(size_t index, JsonValue finish_reason) {
  Choice& choice = choices_[index];
  return JsonObject()
      .add("text", std::exchange(choice.text, {}))
      .add("index", index)
      .add("logprobs", logprobs_ ? choice.logprobs.take() : JsonValue{})
      .add("finish_reason", std::move(finish_reason))
      .take();
}

std::string TextWriter::chunk(size_t index, JsonValue finish_reason) {
  JsonValue::Array choices;
  choices.push_back(take_choice(index, std::move(finish_reason)));
  JsonObject answer = begin_answer(identity_, "text_completion");
  answer.add("choices", std::move(choices));
  if (include_usage_) answer.add("usage", nullptr);
  if (finished_.all()) answer.add("timings", finished_.timings());
  return sse_data(answer.take());
}

std::string TextWriter::stream_end() {
  std::string bytes;
  if (include_usage_) {
    bytes = sse_data(begin_answer(identity_, "text_completion")
                         .add("choices", JsonValue::Array())
                         .add("usage", finished_.usage(choices_per_prompt_))
                         .take());
  }
  bytes += kSseDone;
  return bytes;
}

std::string TextWriter::whole() {
  JsonValue::Array choices;
  for (size_t i = 0; i < choices_.size(); ++i) {
    choices.push_back(take_choice(i, as_json(finish_reason_name(finished_[i].reason, false))));
  }
  return write_json(begin_answer(identity_, "text_completion")
                        .add("choices", std::move(choices))
                        .add("usage", finished_.usage(choices_per_prompt_))
                        .add("timings", finished_.timings())
                        .take());
}

}  // namespace potluck
