#include "coordinator/serving/http/answer_blocks.h"

#include <utility>

namespace potluck {

void AnswerBlocks::take(const AnswerPiece& piece, BlockListener* listener) {
  grow(AnswerBlock::Kind::kReasoning, piece.reasoning, listener);
  grow(AnswerBlock::Kind::kText, piece.content, listener);
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
  blocks_.back().text += text;
  if (listener != nullptr) listener->grew(blocks_.size() - 1, blocks_.back(), text);
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
