#include "coordinator/serving/http/answer_blocks.h"

#include <utility>

namespace potluck {

void AnswerBlocks::take(const CompletionDelta& delta, BlockListener* listener) {
  const AnswerPiece& piece = delta.piece;
  logprobs_.insert(logprobs_.end(), delta.logprobs.begin(), delta.logprobs.end());
  grow(AnswerBlock::Kind::kReasoning, piece.reasoning, listener);
  grow(AnswerBlock::Kind::kText, piece.content, listener);
  // What stands in no text has none.
  if (!piece.reasoning.empty() || !piece.calls.empty() || !piece.growth.empty()) logprobs_.clear();
  for (const ToolCallGrowth& growth : piece.growth) {
    if (growth.begins) {
      open({AnswerBlock::Kind::kCall, {}, {growth.id, growth.name, {}}}, listener);
      ++begun_calls_;
    }
    grow(AnswerBlock::Kind::kCall, growth.arguments, listener);
  }
  for (const ToolCall& call : piece.calls) {
    // Those that came as they grew are known.
    if (++whole_calls_ <= begun_calls_) {
      if (whole_calls_ == begun_calls_) close(listener);
      continue;
    }
    ++begun_calls_;
    open({AnswerBlock::Kind::kCall, {}, {call.id, call.name, {}}}, listener);
    grow(AnswerBlock::Kind::kCall, arguments_text(call.arguments), listener);
    close(listener);
  }
}

void AnswerBlocks::finish(BlockListener* listener) {
  close(listener);
}

ChatMessage AnswerBlocks::message() const {
  ChatMessage message;
  message.role = "assistant";
  std::string text;
  for (const AnswerBlock& block : blocks_) {
    if (block.kind == AnswerBlock::Kind::kText) text += block.text;
    if (block.kind == AnswerBlock::Kind::kCall) message.tool_calls.push_back(block.call);
    if (block.kind != AnswerBlock::Kind::kReasoning) continue;
    message.reasoning_content = message.reasoning_content.value_or("") + block.text;
  }
  if (!text.empty() || message.tool_calls.empty()) message.content = JsonValue{std::move(text)};
  return message;
}

void AnswerBlocks::grow(AnswerBlock::Kind kind, const std::string& text, BlockListener* listener) {
  if (text.empty()) return;
  if (!open_ || blocks_.back().kind != kind) open({kind, {}, {}}, listener);
  AnswerBlock& block = blocks_.back();
  block.text += text;
  size_t added = 0;
  if (kind == AnswerBlock::Kind::kText) {
    added = logprobs_.size();
    block.logprobs.insert(block.logprobs.end(), logprobs_.begin(), logprobs_.end());
    logprobs_.clear();
  }
  if (listener != nullptr) listener->grew(blocks_.size() - 1, block, text, added);
}

void AnswerBlocks::open(AnswerBlock block, BlockListener* listener) {
  close(listener);
  blocks_.push_back(std::move(block));
  open_ = true;
  if (listener != nullptr) listener->opened(blocks_.size() - 1, blocks_.back());
}

void AnswerBlocks::close(BlockListener* listener) {
  if (!std::exchange(open_, false)) return;
  AnswerBlock& block = blocks_.back();
  if (block.kind == AnswerBlock::Kind::kCall) {
    block.call.arguments = whole_call({}, block.text).arguments;
  }
  if (listener != nullptr) listener->closed(blocks_.size() - 1, block);
}

std::string arguments_text(const JsonValue& arguments) {
  return arguments.text() != nullptr ? *arguments.text() : write_json(arguments);
}

JsonValue arguments_object(const JsonValue& arguments) {
  if (arguments.object() != nullptr) return arguments;
  if (arguments.text() != nullptr) {
    auto parsed = parse_json(*arguments.text());
    if (parsed && parsed->object() != nullptr) return *std::move(parsed);
  }
  return JsonValue{JsonValue::Object{{"arguments", arguments}}};
}

}  // namespace potluck
