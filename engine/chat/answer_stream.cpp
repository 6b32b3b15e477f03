// Tokens pass three stages: bytes to whole characters, reasoning out of the text, calls out of what
// is left. Each stage holds back what it cannot decide yet.
#include "engine/chat/answer_stream.h"

namespace potluck {

AnswerStream::AnswerStream(const Tokenizer& tokenizer, const AnswerSyntax& syntax,
                           std::string_view prompt)
    : tokenizer_(tokenizer),
      syntax_(syntax),
      decoder_(tokenizer),
      reasoning_(syntax.reasoning, prompt),
      calls_(syntax.calls) {}

bool AnswerStream::is_mark(std::string_view name) const {
  const bool reasoning =
      syntax_.reasoning && (name == syntax_.reasoning->open || name == syntax_.reasoning->close);
  return reasoning ||
         (syntax_.calls && (name == syntax_.calls->open || name == syntax_.calls->close));
}

AnswerPiece AnswerStream::split(SplitReasoning piece) {
  SplitCalls rest = calls_.push(piece.content);
  return {std::move(piece.reasoning), std::move(rest.content), std::move(rest.calls)};
}

AnswerPiece AnswerStream::push(TokenId token) {
  const std::string_view name = tokenizer_.bytes_of(token);
  // The decoder shows no control tokens, and what it holds back came before this one.
  if (tokenizer_.is_control(token) && is_mark(name)) {
    return split(reasoning_.push(decoder_.finish() + std::string(name)));
  }
  return split(reasoning_.push(decoder_.push(token)));
}

// In the order of the stages: what one gives up at the end still passes the next.
AnswerPiece AnswerStream::finish() {
  SplitReasoning last = reasoning_.push(decoder_.finish());
  SplitReasoning rest = reasoning_.finish();
  AnswerPiece piece = split({last.reasoning + rest.reasoning, last.content + rest.content});
  SplitCalls calls = calls_.finish();
  piece.content += calls.content;
  return piece;
}

}  // namespace potluck
