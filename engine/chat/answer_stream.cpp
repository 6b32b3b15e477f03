// Tokens pass three stages: bytes to whole characters, reasoning out of the text, calls out of what
// is left. Each stage holds back what it cannot decide yet. With channels one stage does both.
#include "engine/chat/answer_stream.h"

#include <algorithm>

#include "engine/chat/call_mark.h"

namespace potluck {
namespace {

AnswerPiece as_piece(std::string reasoning, SplitCalls rest) {
  return {std::move(reasoning), std::move(rest.content), std::move(rest.calls),
          std::move(rest.growth)};
}

void append(SplitCalls more, SplitCalls* to) {
  to->content += more.content;
  for (ToolCall& call : more.calls) to->calls.push_back(std::move(call));
  for (ToolCallGrowth& growth : more.growth) to->growth.push_back(std::move(growth));
}

}  // namespace

std::vector<std::string> answer_marks(const AnswerSyntax& syntax) {
  std::vector<std::string> marks;
  if (syntax.has_channels) marks.assign(channels::kMarks.begin(), channels::kMarks.end());
  if (syntax.reasoning) {
    marks.emplace_back(syntax.reasoning->open);
    marks.emplace_back(syntax.reasoning->close);
  }
  if (!syntax.calls) return marks;
  for (const std::string& text : marks_of(*syntax.calls)) {
    for (const MarkPiece& piece : mark_pieces(text)) {
      std::string name = text.substr(piece.begin, piece.end - piece.begin);
      const bool is_known = std::ranges::find(marks, name) != marks.end();
      if (is_bracketed(name) && !is_known) marks.push_back(std::move(name));
    }
  }
  return marks;
}

AnswerStream::AnswerStream(const Tokenizer& tokenizer, const AnswerSyntax& syntax,
                           std::string_view prompt, const std::vector<JsonValue>& tools)
    : tokenizer_(tokenizer),
      marks_(answer_marks(syntax)),
      decoder_(tokenizer),
      reasoning_(syntax.reasoning, prompt),
      calls_(syntax.calls, ArgumentTypes(tools)) {
  if (syntax.has_channels) channels_.emplace(prompt);
}

bool AnswerStream::is_mark(std::string_view name) const {
  return std::ranges::find(marks_, name) != marks_.end();
}

AnswerPiece AnswerStream::split(SplitReasoning piece) {
  return as_piece(std::move(piece.reasoning), calls_.push(piece.content));
}

AnswerPiece AnswerStream::push(TokenId token) {
  const std::string_view name = tokenizer_.bytes_of(token);
  // The decoder shows no control tokens, and what it holds back came before this one.
  const bool is_control_mark = tokenizer_.is_control(token) && is_mark(name);
  const std::string text = is_control_mark ? decoder_.finish() : decoder_.push(token);
  if (!channels_) return split(reasoning_.push(text + std::string(is_control_mark ? name : "")));
  SplitChannels split = channels_->push(text);
  if (is_control_mark) {
    SplitChannels more = channels_->push_mark(name);
    split.reasoning += more.reasoning;
    append(std::move(more.rest), &split.rest);
  }
  return as_piece(std::move(split.reasoning), std::move(split.rest));
}

// In the order of the stages: what one gives up at the end still passes the next.
AnswerPiece AnswerStream::finish() {
  if (channels_) {
    SplitChannels last = channels_->push(decoder_.finish());
    SplitChannels rest = channels_->finish();
    append(std::move(rest.rest), &last.rest);
    return as_piece(last.reasoning + rest.reasoning, std::move(last.rest));
  }
  SplitReasoning last = reasoning_.push(decoder_.finish());
  SplitReasoning rest = reasoning_.finish();
  SplitCalls calls = calls_.push(last.content + rest.content);
  append(calls_.finish(), &calls);
  return as_piece(last.reasoning + rest.reasoning, std::move(calls));
}

}  // namespace potluck
