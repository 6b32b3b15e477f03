// AnswerPrinter: an answer as it comes. Standard output carries what the model answers; its
// reasoning and its tool calls go to standard error. One thread.
#pragma once

#include "coordinator/cli/output.h"
#include "coordinator/cli/terminal.h"
#include "engine/chat/answer_stream.h"

namespace potluck {

class AnswerPrinter {
 public:
  // Both streams must outlive it. Without `prints` nothing is shown (--json).
  AnswerPrinter(Output& out, Terminal& terminal, bool prints, bool quiet)
      : out_(out), terminal_(terminal), prints_(prints), quiet_(quiet) {}

  // So much of the prompt is computed; shown where that takes long, and only on a terminal.
  void prefill(uint32_t done, uint32_t total);
  // Writes the piece as it comes; false once nothing can be written any more.
  bool print(const AnswerPiece& piece);
  // A call that the model makes, and what it gets.
  void print_call(const ToolCall& call);
  void print_result(const ToolCall& call, const std::string& result);
  // Ends the answer, with a line end if asked for.
  void end(bool new_line);
  bool printed() const { return printed_; }  // anything of the answer

 private:
  void end_reasoning();

  Output& out_;
  Terminal& terminal_;
  bool prints_;
  bool quiet_;
  bool in_reasoning_ = false;
  bool printed_ = false;
};

}  // namespace potluck
