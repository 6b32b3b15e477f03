// AnswerStream: from the tokens of an answer to its parts: reasoning, text, tool calls. One object
// per answer, one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/chat/reasoning.h"
#include "engine/chat/tool_calls.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

struct AnswerPiece {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> calls;  // without ids
};

// How models of a template mark the parts.
struct AnswerSyntax {
  std::optional<ReasoningMarks> reasoning;
  std::optional<ToolCallSyntax> calls;
};

class AnswerStream {
 public:
  // The tokenizer must outlive the stream. Prompts that end with a mark decide where the answer
  // begins.
  AnswerStream(const Tokenizer& tokenizer, const AnswerSyntax& syntax, std::string_view prompt);

  // Marks count as such whether they are control tokens of the vocabulary or text.
  AnswerPiece push(TokenId token);
  AnswerPiece finish();

 private:
  bool is_mark(std::string_view name) const;
  AnswerPiece split(SplitReasoning piece);

  const Tokenizer& tokenizer_;
  AnswerSyntax syntax_;
  StreamingDecoder decoder_;
  ReasoningSplitter reasoning_;
  ToolCallSplitter calls_;
};

}  // namespace potluck
