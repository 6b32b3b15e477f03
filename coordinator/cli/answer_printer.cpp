#include "coordinator/cli/answer_printer.h"

#include <fmt/format.h>

#include "coordinator/cli/tools.h"

namespace potluck {

void AnswerPrinter::prefill(uint32_t done, uint32_t total) {
  terminal_.passing("reading the prompt", done, total);
}

bool AnswerPrinter::print(const AnswerPiece& piece) {
  terminal_.end_passing();
  if (!prints_) return true;
  if (!quiet_ && !piece.reasoning.empty()) {
    terminal_.aside(piece.reasoning);
    in_reasoning_ = true;
  }
  if (in_reasoning_ && !piece.content.empty()) {
    terminal_.text("\n\n");
    in_reasoning_ = false;
  }
  printed_ = printed_ || !piece.content.empty();
  // False ends the generation: where the reader of standard output is gone, there is nothing to go
  // on for.
  return out_.text(piece.content);
}

void AnswerPrinter::print_call(const ToolCall& call) {
  if (!prints_) return;
  end_reasoning();
  terminal_.notice("call " + describe_call(call));
}

void AnswerPrinter::print_result(const ToolCall& call, const std::string& result) {
  if (prints_) terminal_.notice(fmt::format("{} answers {}", call.name, result));
}

void AnswerPrinter::end_reasoning() {
  if (in_reasoning_) terminal_.text("\n");
  terminal_.end_text();
  in_reasoning_ = false;
}

void AnswerPrinter::end(bool new_line) {
  terminal_.end_passing();
  end_reasoning();
  if (!prints_) return;
  if (new_line) out_.text("\n");
  out_.end_text();
}

}  // namespace potluck
