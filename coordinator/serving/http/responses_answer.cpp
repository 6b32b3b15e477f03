#include "coordinator/serving/http/responses_answer.h"

#include <utility>

#include <fmt/format.h>

namespace potluck {
namespace {

using Kind = AnswerBlock::Kind;

JsonValue responses_usage(const CompletionUsage& usage) {
  return JsonObject()
      .add("input_tokens", usage.prompt_tokens)
      .add("input_tokens_details", JsonObject().add("cached_tokens", usage.cached_tokens).take())
      .add("output_tokens", usage.completion_tokens)
      // Which of the tokens were thoughts is not counted.
      .add("output_tokens_details", JsonObject().add("reasoning_tokens", 0).take())
      .add("total_tokens", uint64_t{usage.prompt_tokens} + usage.completion_tokens)
      .take();
}

struct Outcome {
  std::string_view status;
  JsonValue error = {};
  JsonValue incomplete_details = {};
  JsonValue usage = {};
};

JsonValue response_json(const ResponsesAnswer& answer, JsonValue::Array output, Outcome outcome) {
  JsonObject object;
  object.add("id", answer.identity.id)
      .add("object", "response")
      .add("created_at", answer.identity.created)
      .add("status", outcome.status)
      .add("error", std::move(outcome.error))
      .add("incomplete_details", std::move(outcome.incomplete_details))
      .add("model", answer.identity.model)
      .add("output", std::move(output))
      .add("usage", std::move(outcome.usage));
  for (const auto& [name, value] : answer.echo) object.add(name, value);
  return object.take();
}

JsonValue::Array items(const ResponsesAnswer& answer, const AnswerBlocks& blocks) {
  JsonValue::Array output;
  for (size_t i = 0; i < blocks.blocks().size(); ++i) {
    output.push_back(answer.item(i, blocks.blocks()[i], true));
  }
  return output;
}

JsonValue::Array logprobs_of(const AnswerBlock& block) {
  TokenTexts texts;
  return logprob_entries(block.logprobs, &texts);
}

JsonValue part_json(const AnswerBlock& block, const std::string& text) {
  JsonObject part;
  if (block.kind == Kind::kReasoning)
    return part.add("type", "reasoning_text").add("text", text).take();
  return part.add("type", "output_text")
      .add("text", text)
      .add("annotations", JsonValue::Array())
      .add("logprobs", logprobs_of(block))
      .take();
}

JsonValue error_member(const ApiError& error) {
  return JsonObject()
      .add("code", error.code.value_or(error.type))
      .add("message", error.message)
      .take();
}

}  // namespace

JsonValue ResponsesAnswer::in_progress() const {
  return response_json(*this, {}, {"in_progress"});
}

JsonValue ResponsesAnswer::finished(const CompletionFinished& finished,
                                    const AnswerBlocks& blocks) const {
  Outcome outcome{"completed"};
  if (finished.reason == FinishReason::kLength) {
    outcome.status = "incomplete";
    outcome.incomplete_details = JsonObject().add("reason", "max_output_tokens").take();
  }
  outcome.usage = responses_usage(finished.usage);
  return response_json(*this, items(*this, blocks), std::move(outcome));
}

JsonValue ResponsesAnswer::failed(const ApiError& error, const AnswerBlocks& blocks) const {
  Outcome outcome{"failed"};
  outcome.error = error_member(error);
  return response_json(*this, items(*this, blocks), std::move(outcome));
}

JsonValue ResponsesAnswer::item(size_t index, const AnswerBlock& block, bool whole) const {
  JsonObject object;
  object.add("id", item_id(index, block));
  const std::string_view status = whole ? "completed" : "in_progress";
  JsonValue::Array content;
  if (whole) content.push_back(part_json(block, block.text));
  switch (block.kind) {
    case Kind::kReasoning:
      object.add("type", "reasoning")
          .add("summary", JsonValue::Array())
          .add("content", std::move(content));
      break;
    case Kind::kText:
      object.add("type", "message").add("role", "assistant").add("content", std::move(content));
      break;
    case Kind::kCall:
      object.add("type", "function_call")
          .add("call_id", block.call.id)
          .add("name", block.call.name)
          .add("arguments", whole ? arguments_text(block.call.arguments) : std::string());
      break;
  }
  return object.add("status", status).take();
}

std::string ResponsesAnswer::item_id(size_t index, const AnswerBlock& block) const {
  const std::string_view prefix = block.kind == Kind::kReasoning ? "rs"
                                  : block.kind == Kind::kText    ? "msg"
                                                                 : "fc";
  // "resp_" is no part of what is random.
  return fmt::format("{}_{}_{}", prefix, identity.id.substr(identity.id.find('_') + 1), index);
}

std::string ResponsesBodyWriter::take(size_t /*choice*/, const CompletionEvent& event) {
  if (const auto* delta = std::get_if<CompletionDelta>(&event)) blocks_.take(*delta, nullptr);
  const auto* finished = std::get_if<CompletionFinished>(&event);
  if (finished == nullptr) return {};
  done_ = true;
  std::string json = write_json(answer_.finished(*finished, blocks_));
  if (answer_.keep) answer_.keep(json, blocks_.message());
  return json;
}

std::string ResponsesStreamWriter::take(size_t /*choice*/, const CompletionEvent& event) {
  if (!begun_) begin();
  if (const auto* delta = std::get_if<CompletionDelta>(&event)) blocks_.take(*delta, this);
  if (const auto* finished = std::get_if<CompletionFinished>(&event)) end(*finished);
  return std::exchange(bytes_, {});
}

void ResponsesStreamWriter::begin() {
  begun_ = true;
  for (const char* type : {"response.created", "response.in_progress"}) {
    JsonObject members;
    members.add("response", answer_.in_progress());
    event(type, std::move(members));
  }
}

void ResponsesStreamWriter::end(const CompletionFinished& finished) {
  done_ = true;
  blocks_.finish(this);
  JsonValue response = answer_.finished(finished, blocks_);
  if (answer_.keep) answer_.keep(write_json(response), blocks_.message());
  JsonObject members;
  members.add("response", std::move(response));
  const bool cut = finished.reason == FinishReason::kLength;
  event(cut ? "response.incomplete" : "response.completed", std::move(members));
}

// Those that read events look for the first of these, and OpenAI's clients throw at the second: it
// has a member "error".
std::string ResponsesStreamWriter::failure(const ApiError& error) const {
  const JsonValue failed = JsonObject()
                               .add("type", "response.failed")
                               .add("sequence_number", sequence_)
                               .add("response", answer_.failed(error, blocks_))
                               .take();
  JsonValue inner = error_json(error);
  JsonObject last;
  last.add("type", "error")
      .add("sequence_number", sequence_ + 1)
      .add("code", error.code.value_or(error.type))
      .add("message", error.message)
      .add("param", nullptr)
      .add("error", std::get<JsonValue::Object>(inner.data).front().second);
  return sse_event("response.failed", failed) + sse_event("error", last.take());
}

void ResponsesStreamWriter::event(std::string_view type, JsonObject members) {
  JsonValue value = JsonObject().add("type", type).add("sequence_number", sequence_++).take();
  JsonValue rest = members.take();
  auto& all = std::get<JsonValue::Object>(value.data);
  for (auto& member : std::get<JsonValue::Object>(rest.data)) all.push_back(std::move(member));
  bytes_ += sse_event(type, value);
}

JsonObject ResponsesStreamWriter::place(size_t index, const AnswerBlock& block, bool part) const {
  JsonObject members;
  members.add("item_id", answer_.item_id(index, block)).add("output_index", index);
  if (part) members.add("content_index", 0);
  return members;
}

void ResponsesStreamWriter::opened(size_t index, const AnswerBlock& block) {
  texts_ = {};
  JsonObject added;
  added.add("output_index", index).add("item", answer_.item(index, block, false));
  event("response.output_item.added", std::move(added));
  if (block.kind == Kind::kCall) return;
  JsonObject part = place(index, block, true);
  part.add("part", part_json(block, ""));
  event("response.content_part.added", std::move(part));
}

void ResponsesStreamWriter::grew(size_t index, const AnswerBlock& block, std::string_view text,
                                 size_t logprobs) {
  JsonObject members = place(index, block, block.kind != Kind::kCall);
  members.add("delta", text);
  if (block.kind == Kind::kCall) {
    return event("response.function_call_arguments.delta", std::move(members));
  }
  if (block.kind == Kind::kReasoning) {
    return event("response.reasoning_text.delta", std::move(members));
  }
  const std::span all(block.logprobs);
  members.add("logprobs", logprob_entries(all.last(logprobs), &texts_));
  event("response.output_text.delta", std::move(members));
}

void ResponsesStreamWriter::closed(size_t index, const AnswerBlock& block) {
  if (block.kind == Kind::kCall) {
    JsonObject done = place(index, block, false);
    done.add("name", block.call.name).add("arguments", arguments_text(block.call.arguments));
    event("response.function_call_arguments.done", std::move(done));
  } else {
    const bool thinks = block.kind == Kind::kReasoning;
    JsonObject text = place(index, block, true);
    text.add("text", block.text);
    if (!thinks) text.add("logprobs", logprobs_of(block));
    event(thinks ? "response.reasoning_text.done" : "response.output_text.done", std::move(text));
    JsonObject part = place(index, block, true);
    part.add("part", part_json(block, block.text));
    event("response.content_part.done", std::move(part));
  }
  JsonObject done;
  done.add("output_index", index).add("item", answer_.item(index, block, true));
  event("response.output_item.done", std::move(done));
}

}  // namespace potluck
