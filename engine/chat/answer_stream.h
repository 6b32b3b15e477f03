// AnswerStream: from the tokens of an answer to its parts: reasoning, text, tool calls. One object
// per answer, one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/chat/channels.h"
#include "engine/chat/reasoning.h"
#include "engine/chat/tool_calls.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

struct AnswerPiece {
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> calls;              // without ids
  std::vector<ToolCallGrowth> growth = {};  // of these calls and the one that is being written
};

// How models of a template mark the parts.
struct AnswerSyntax {
  std::optional<ReasoningMarks> reasoning;
  std::optional<ToolCallSyntax> calls;
  bool has_channels = false;  // instead of both: the Harmony format (channels.h)

  bool marks_reasoning() const { return has_channels || reasoning.has_value(); }
  bool marks_calls() const { return has_channels || calls.has_value(); }
};

// Names of tokens that mark parts of an answer, which a grammar may ask for.
std::vector<std::string> answer_marks(const AnswerSyntax& syntax);

class AnswerStream {
 public:
  // The tokenizer must outlive the stream. Prompts that end with a mark decide where the answer
  // begins. `tools`: what the prompt offers.
  AnswerStream(const Tokenizer& tokenizer, const AnswerSyntax& syntax, std::string_view prompt,
               const std::vector<JsonValue>& tools = {});

  // Marks count as such whether they are control tokens of the vocabulary or text.
  AnswerPiece push(TokenId token);
  AnswerPiece finish();

 private:
  bool is_mark(std::string_view name) const;
  AnswerPiece split(SplitReasoning piece);

  const Tokenizer& tokenizer_;
  std::vector<std::string> marks_;
  StreamingDecoder decoder_;
  ReasoningSplitter reasoning_;
  ToolCallSplitter calls_;
  std::optional<ChannelSplitter> channels_;  // instead of both
};

}  // namespace potluck
