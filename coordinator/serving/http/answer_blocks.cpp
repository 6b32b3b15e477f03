#include "coordinator/serving/http/answer_blocks.h"

#include <utility>

namespace potluck {

void AnswerBlocks::take(const CompletionDelta& delta, BlockListener* listener) {
  const AnswerPiece& piece = delta.piece;
  logprobs_.insert(logprobs_.end(), delta.logprobs.begin(), delta.logprobs.end());
  grow(AnswerBlock::Kind::kReasoning, piece.reasoning, listener);
  grow(AnswerBlock::Kind::kText, piece.content, listener);
  // What stands in no text has none.
  if (!piece.reasoning.empty() || !piece.calls.empty()) logprobs_.clear();
  for (const ToolCall& call : piece.calls) {
    close(listener);
    blocks_.push_back({AnswerBlock::Kind::kCall, {}, call, {}});
    open_ = true;
    if (listener != nullptr) listener->opened(blocks_.size() - 1, blocks_.back());
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
  if (!open_ || blocks_.back().kind != kind) {
    close(listener);
    blocks_.push_back({kind, {}, {}, {}});
    open_ = true;
    if (listener != nullptr) listener->opened(blocks_.size() - 1, blocks_.back());
  }
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

void AnswerBlocks::close(BlockListener* listener) {
  if (!std::exchange(open_, false) || listener == nullptr) return;
  listener->closed(blocks_.size() - 1, blocks_.back());
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
