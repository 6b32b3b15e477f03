#include "coordinator/serving/http/ollama_answer.h"

#include <utility>

#include <fmt/format.h>

#include "coordinator/serving/http/answer_blocks.h"
#include "coordinator/serving/http/iso_time.h"
#include "engine/base/hash.h"

namespace potluck {
namespace {

constexpr std::string_view kLines = "application/x-ndjson";
constexpr std::string_view kJson = "application/json; charset=utf-8";

int64_t nanoseconds(double seconds) {
  return static_cast<int64_t>(seconds * 1e9);
}

// "26M", "30.5B"
std::string size_name(uint64_t parameters) {
  const auto count = static_cast<double>(parameters);
  if (count >= 1e9) return fmt::format("{:.1f}B", count / 1e9);
  if (count >= 1e6) return fmt::format("{:.1f}M", count / 1e6);
  return fmt::format("{:.1f}K", count / 1e3);
}

JsonValue details(const ServedModel& model) {
  return JsonObject()
      .add("parent_model", "")
      .add("format", "gguf")
      .add("family", model.architecture)
      .add("families", JsonValue::Array{as_json(model.architecture)})
      .add("parameter_size", size_name(model.parameters))
      .add("quantization_level", model.quantization)
      .take();
}

// A name for the model that changes with the file; the file's own digest would take minutes.
std::string digest(const ServedModel& model) {
  const std::string text = fmt::format("{} {} {}", model.id, model.file_bytes, model.parameters);
  return sha256(as_bytes(text)).hex();
}

JsonObject entry(const ServedModel& model) {
  JsonObject object;
  object.add("name", model.id)
      .add("model", model.id)
      .add("size", model.file_bytes)
      .add("digest", digest(model))
      .add("details", details(model));
  return object;
}

JsonValue models(JsonObject object) {
  return JsonObject().add("models", JsonValue::Array{object.take()}).take();
}

JsonValue capabilities(const ServedModel& model) {
  JsonValue::Array all{as_json("completion")};
  if (model.calls_tools) all.push_back(as_json("tools"));
  if (model.reasons) all.push_back(as_json("thinking"));
  return JsonValue{std::move(all)};
}

JsonValue calls_json(const std::vector<ToolCall>& calls) {
  JsonValue::Array list;
  for (const ToolCall& call : calls) {
    list.push_back(JsonObject()
                       .add("id", call.id)
                       .add("function", JsonObject()
                                            .add("index", list.size())
                                            .add("name", call.name)
                                            .add("arguments", arguments_object(call.arguments))
                                            .take())
                       .take());
  }
  return JsonValue{std::move(list)};
}

}  // namespace

JsonValue ollama_error(const ApiError& error) {
  return JsonObject().add("error", error.message).take();
}

JsonValue ollama_tags(const ServedModel& model) {
  return models(std::move(entry(model).add("modified_at", iso_time(model.created))));
}

JsonValue ollama_running(const ServedModel& model) {
  constexpr const char* kNever = "2318-04-11T23:47:16Z";  // as far as Go's durations reach
  return models(std::move(entry(model)
                              .add("expires_at", kNever)
                              .add("size_vram", 0)
                              .add("context_length", model.context)));
}

JsonValue ollama_show(const ServedModel& model) {
  JsonObject info;
  info.add("general.architecture", model.architecture)
      .add("general.parameter_count", model.parameters)
      .add("general.file_type", model.quantization)
      .add(model.architecture + ".context_length", model.context);
  return JsonObject()
      .add("modelfile", "")
      .add("parameters", "")
      .add("template", "")
      .add("details", details(model))
      .add("model_info", info.take())
      .add("capabilities", capabilities(model))
      .add("modified_at", iso_time(model.created))
      .take();
}

std::string OllamaWriter::take(size_t /*choice*/, const CompletionEvent& event) {
  if (const auto* delta = std::get_if<CompletionDelta>(&event)) {
    const AnswerPiece& piece = delta->piece;
    const bool empty = piece.reasoning.empty() && piece.content.empty() && piece.calls.empty();
    if (stream_) return empty ? std::string() : say(piece);
    said_.reasoning += piece.reasoning;
    said_.content += piece.content;
    said_.calls.insert(said_.calls.end(), piece.calls.begin(), piece.calls.end());
  }
  const auto* finished = std::get_if<CompletionFinished>(&event);
  return finished != nullptr ? finish(*finished) : std::string();
}

std::string OllamaWriter::failure(const ApiError& error) const {
  return write_json(ollama_error(error)) + "\n";
}

std::string_view OllamaWriter::content_type() const {
  return stream_ ? kLines : kJson;
}

JsonValue OllamaWriter::loaded() const {
  JsonObject object = begin();
  add_piece({}, &object);
  return object.add("done", true).add("done_reason", "load").take();
}

JsonObject OllamaWriter::begin() const {
  JsonObject object;
  object.add("model", identity_.model).add("created_at", iso_time(identity_.created));
  return object;
}

void OllamaWriter::add_piece(const AnswerPiece& piece, JsonObject* into) const {
  if (form_ == Form::kGenerate) {
    into->add("response", piece.content);
    if (!piece.reasoning.empty()) into->add("thinking", piece.reasoning);
    return;
  }
  JsonObject message;
  message.add("role", "assistant").add("content", piece.content);
  if (!piece.reasoning.empty()) message.add("thinking", piece.reasoning);
  if (!piece.calls.empty()) message.add("tool_calls", calls_json(piece.calls));
  into->add("message", message.take());
}

std::string OllamaWriter::say(const AnswerPiece& piece) const {
  JsonObject object = begin();
  add_piece(piece, &object);
  return write_json(object.add("done", false).take()) + "\n";
}

std::string OllamaWriter::finish(const CompletionFinished& finished) {
  done_ = true;
  const bool cut = finished.reason == FinishReason::kLength;
  JsonObject object = begin();
  add_piece(said_, &object);
  object.add("done", true)
      .add("done_reason", cut ? "length" : "stop")
      .add("total_duration", nanoseconds(finished.prefill_seconds + finished.decode_seconds))
      .add("load_duration", 0)
      .add("prompt_eval_count", finished.usage.prompt_tokens)
      .add("prompt_eval_duration", nanoseconds(finished.prefill_seconds))
      .add("eval_count", finished.usage.completion_tokens)
      .add("eval_duration", nanoseconds(finished.decode_seconds));
  return write_json(object.take()) + (stream_ ? "\n" : "");
}

}  // namespace potluck
