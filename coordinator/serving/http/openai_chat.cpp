#include "coordinator/serving/http/openai_chat.h"

#include <utility>

#include "coordinator/serving/http/answer_blocks.h"
#include "coordinator/serving/http/answer_demands.h"
#include "coordinator/serving/http/openai_logprobs.h"
#include "coordinator/serving/http/openai_messages.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

void read_logprobs(JsonFields& fields, CompletionRequest* request) {
  const bool wanted = fields.flag("logprobs").value_or(false);
  const auto top = fields.whole("top_logprobs", 0, kTopLogprobs);
  if (top && !wanted) fields.fail("top_logprobs", "'top_logprobs' needs 'logprobs': true");
  if (wanted) request->top_logprobs = static_cast<uint32_t>(top.value_or(0));
}

void add_reasoning(JsonObject* into, const std::string& text) {
  // Two names for the same: clients read the one or the other.
  into->add("reasoning_content", text).add("reasoning", text);
}

void append(const AnswerPiece& piece, AnswerPiece* to) {
  to->reasoning += piece.reasoning;
  to->content += piece.content;
  to->calls.insert(to->calls.end(), piece.calls.begin(), piece.calls.end());
}

}  // namespace

OpenAiParsed parse_chat_request(const JsonValue& body, const RequestSetting& setting) {
  std::optional<ApiError> error;
  JsonFields fields(body, "", &error);
  OpenAiCommon common = read_common(fields, setting);
  // The newer name counts.
  if (const auto most = fields.whole("max_completion_tokens", 1, limits::kContext)) {
    common.request.max_tokens = static_cast<uint32_t>(*most);
  }
  read_logprobs(fields, &common.request);
  Conversation conversation = read_conversation(fields);
  const bool return_progress = fields.flag("return_progress").value_or(false);
  const ToolChoice choice = read_openai_tool_choice(fields);
  common.request.grammar =
      apply_demands(choice, read_openai_formats(fields), setting, &conversation, fields);
  if (error) return *std::move(error);
  common.request.prompt = std::move(conversation);
  OpenAiRequest request;
  request.one_call = !choice.several;
  request.logprobs = common.request.top_logprobs.has_value();
  request.choices = repeat_with_seeds(common.request, common.choices);
  request.choices_per_prompt = common.choices;
  request.stream = common.stream;
  request.include_usage = common.include_usage;
  request.return_progress = return_progress;
  return request;
}

JsonValue tool_calls_json(const std::vector<ToolCall>& calls, std::optional<size_t> first_index) {
  JsonValue::Array list;
  for (const ToolCall& call : calls) {
    JsonObject object;
    if (first_index) object.add("index", *first_index + list.size());
    object.add("id", call.id)
        .add("type", "function")
        .add("function", JsonObject()
                             .add("name", call.name)
                             .add("arguments", arguments_text(call.arguments))
                             .take());
    list.push_back(object.take());
  }
  return JsonValue{std::move(list)};
}

namespace {

// Of a stream: what a call begins with, and what its arguments grow by.
JsonValue growth_json(const std::vector<ToolCallGrowth>& growth, size_t* begun) {
  JsonValue::Array list;
  for (const ToolCallGrowth& part : growth) {
    *begun += part.begins ? 1 : 0;
    JsonObject object;
    object.add("index", *begun - 1);
    if (part.begins) object.add("id", part.id).add("type", "function");
    JsonObject function;
    if (part.begins) function.add("name", part.name);
    list.push_back(object.add("function", function.add("arguments", part.arguments).take()).take());
  }
  return JsonValue{std::move(list)};
}

}  // namespace

ChatBodyWriter::ChatBodyWriter(AnswerIdentity identity, const OpenAiRequest& request)
    : identity_(std::move(identity)),
      logprobs_(request.logprobs),
      choices_(request.choices.size()),
      finished_(request.choices.size()) {}

std::string ChatBodyWriter::take(size_t choice, const CompletionEvent& event) {
  if (const auto* delta = std::get_if<CompletionDelta>(&event)) {
    Choice& to = choices_[choice];
    append(delta->piece, &to.said);
    to.logprobs.insert(to.logprobs.end(), delta->logprobs.begin(), delta->logprobs.end());
  }
  const auto* finished = std::get_if<CompletionFinished>(&event);
  if (finished == nullptr) return {};
  finished_.add(choice, *finished);
  if (!finished_.all()) return {};
  JsonValue::Array choices;
  for (size_t i = 0; i < choices_.size(); ++i) choices.push_back(choice_json(i));
  return write_json(begin_answer(identity_, "chat.completion")
                        .add("choices", std::move(choices))
                        .add("usage", finished_.usage(choices_.size()))
                        .add("timings", finished_.timings())
                        .take());
}

JsonValue ChatBodyWriter::choice_json(size_t index) const {
  const Choice& choice = choices_[index];
  const AnswerPiece& said = choice.said;
  const bool called = !said.calls.empty();
  JsonObject message;
  message.add("role", "assistant");
  if (called && said.content.empty()) {
    message.add("content", nullptr);
  } else {
    message.add("content", said.content);
  }
  message.add("refusal", nullptr);
  if (!said.reasoning.empty()) add_reasoning(&message, said.reasoning);
  if (called) message.add("tool_calls", tool_calls_json(said.calls, std::nullopt));
  TokenTexts texts;
  return JsonObject()
      .add("index", index)
      .add("message", message.take())
      .add("logprobs", logprobs_ ? chat_logprobs(choice.logprobs, &texts) : JsonValue{})
      .add("finish_reason", finish_reason_name(finished_[index].reason, called))
      .take();
}

ChatStreamWriter::ChatStreamWriter(AnswerIdentity identity, const OpenAiRequest& request)
    : identity_(std::move(identity)),
      include_usage_(request.include_usage),
      return_progress_(request.return_progress),
      logprobs_(request.logprobs),
      choices_(request.choices.size()),
      finished_(request.choices.size()) {}

std::string ChatStreamWriter::take(size_t choice, const CompletionEvent& event) {
  std::string bytes = begin(choice);
  if (const auto* done = std::get_if<CompletionProgress>(&event)) bytes += progress(choice, *done);
  if (const auto* delta = std::get_if<CompletionDelta>(&event)) bytes += say(choice, *delta);
  if (const auto* finished = std::get_if<CompletionFinished>(&event)) {
    bytes += finish(choice, *finished);
  }
  return bytes;
}

std::string ChatStreamWriter::begin(size_t index) {
  if (std::exchange(choices_[index].begun, true)) return {};
  return chunk(index, JsonObject().add("role", "assistant").add("content", "").take(), {}, {});
}

// As llama.cpp's server tells it.
std::string ChatStreamWriter::progress(size_t index, const CompletionProgress& progress) const {
  if (!return_progress_) return {};
  JsonValue::Array choices;
  choices.push_back(JsonObject()
                        .add("index", index)
                        .add("delta", JsonObject().take())
                        .add("logprobs", nullptr)
                        .add("finish_reason", nullptr)
                        .take());
  return sse_data(
      begin_answer(identity_, "chat.completion.chunk")
          .add("choices", std::move(choices))
          .add("prompt_progress",
               JsonObject().add("total", progress.total).add("processed", progress.done).take())
          .take());
}

std::string ChatStreamWriter::say(size_t index, const CompletionDelta& delta) {
  Choice& choice = choices_[index];
  const AnswerPiece& piece = delta.piece;
  JsonValue logprobs;
  if (logprobs_ && !delta.logprobs.empty()) logprobs = chat_logprobs(delta.logprobs, &choice.texts);
  std::string bytes;
  if (!piece.reasoning.empty()) {
    JsonObject said;
    add_reasoning(&said, piece.reasoning);
    bytes += chunk(index, said.take(), std::exchange(logprobs, {}), {});
  }
  // Also for tokens whose text is still held back.
  const bool calls = !piece.calls.empty() || !piece.growth.empty();
  if (!piece.content.empty() || (!calls && !logprobs.is_null())) {
    bytes += chunk(index, JsonObject().add("content", piece.content).take(),
                   std::exchange(logprobs, {}), {});
  }
  if (!piece.growth.empty()) {
    bytes +=
        chunk(index,
              JsonObject().add("tool_calls", growth_json(piece.growth, &choice.begun_calls)).take(),
              std::exchange(logprobs, {}), {});
  }
  // Those that came as they grew have been told.
  std::vector<ToolCall> whole;
  for (const ToolCall& call : piece.calls) {
    if (++choice.calls > choice.begun_calls) whole.push_back(call);
  }
  if (!whole.empty()) {
    JsonValue list = tool_calls_json(whole, choice.calls - whole.size());
    choice.begun_calls = choice.calls;
    bytes += chunk(index, JsonObject().add("tool_calls", std::move(list)).take(),
                   std::exchange(logprobs, {}), {});
  }
  return bytes;
}

std::string ChatStreamWriter::finish(size_t index, const CompletionFinished& finished) {
  finished_.add(index, finished);
  const std::string_view reason = finish_reason_name(finished.reason, choices_[index].calls > 0);
  std::string bytes = chunk(index, JsonObject().take(), {}, as_json(reason), finished_.all());
  if (!finished_.all()) return bytes;
  if (include_usage_) {
    bytes += sse_data(begin_answer(identity_, "chat.completion.chunk")
                          .add("choices", JsonValue::Array())
                          .add("usage", finished_.usage(choices_.size()))
                          .take());
  }
  bytes += kSseDone;
  return bytes;
}

std::string ChatStreamWriter::chunk(size_t index, JsonValue delta, JsonValue logprobs,
                                    JsonValue finish_reason, bool timings) const {
  JsonValue::Array choices;
  choices.push_back(JsonObject()
                        .add("index", index)
                        .add("delta", std::move(delta))
                        .add("logprobs", std::move(logprobs))
                        .add("finish_reason", std::move(finish_reason))
                        .take());
  JsonObject answer = begin_answer(identity_, "chat.completion.chunk");
  answer.add("choices", std::move(choices));
  if (include_usage_) answer.add("usage", nullptr);
  if (timings) answer.add("timings", finished_.timings());
  return sse_data(answer.take());
}

}  // namespace potluck
