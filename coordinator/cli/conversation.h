// Talking with a model in the terminal. Standard output carries what the model answers, and nothing
// else; its reasoning, and the mark for the user to type at, go to standard error. One thread.
#pragma once

#include <string>

#include "coordinator/cli/commands.h"
#include "coordinator/serving/chat_session.h"

namespace potluck {

class AnswerPrinter {
 public:
  // Both streams must outlive it.
  AnswerPrinter(Output& out, Terminal& terminal, bool prints, bool quiet)
      : out_(out), terminal_(terminal), prints_(prints), quiet_(quiet) {}

  // Writes the piece as it comes; false once nobody reads it any more.
  bool print(const AnswerPiece& piece);
  // Ends the answer, with a line end if asked for.
  void end(bool new_line);

 private:
  Output& out_;
  Terminal& terminal_;
  bool prints_;
  bool quiet_;
  bool in_reasoning_ = false;
};

// Adds the user's message and lets the model answer. Ctrl-C stops the answer.
Result<ChatAnswer> answer_message(ChatSession& session, const std::string& message,
                                  const GenerationRequest& request, AnswerPrinter* printer,
                                  const Environment& environment);

// Line after line from standard input is a message, until the input ends (Ctrl-D) or Ctrl-C comes
// while nothing is being answered.
Status converse(ChatSession& session, const GenerationRequest& request,
                const Environment& environment, Terminal* terminal, bool quiet);

}  // namespace potluck
