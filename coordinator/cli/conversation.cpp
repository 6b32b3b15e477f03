#include "coordinator/cli/conversation.h"

#include <fmt/format.h>

#include "coordinator/cli/chat_flags.h"
#include "coordinator/cli/line_reader.h"

namespace potluck {
namespace {

constexpr Duration kTurn = std::chrono::milliseconds(100);

// The next line; nothing at the end.
std::optional<std::string> wait_for_line(LineReader* lines, const Environment& environment) {
  while (!environment.stop && !lines->ended()) {
    if (auto line = lines->next(kTurn)) return line;
  }
  return std::nullopt;
}

}  // namespace

bool AnswerPrinter::print(const AnswerPiece& piece) {
  if (!prints_) return true;
  if (!quiet_ && !piece.reasoning.empty()) {
    terminal_.text(piece.reasoning);
    in_reasoning_ = true;
  }
  if (in_reasoning_ && !piece.content.empty()) {
    terminal_.text("\n\n");
    in_reasoning_ = false;
  }
  return out_.text(piece.content);
}

void AnswerPrinter::end(bool new_line) {
  if (in_reasoning_) terminal_.text("\n");
  terminal_.end_text();
  in_reasoning_ = false;
  if (!prints_) return;
  if (new_line) out_.text("\n");
  out_.end_text();
}

Result<ChatAnswer> answer_message(ChatSession& session, const std::string& message,
                                  const GenerationRequest& request, AnswerPrinter* printer,
                                  const Environment& environment) {
  session.conversation().messages.push_back({"user", JsonValue{message}, {}, {}, {}, {}});
  auto written = session.write_prompt(local_seconds(environment.clock));
  if (!written) return with_way_out(written.error());
  return session.answer(*written, request, [&](const AnswerPiece& piece) {
    return printer->print(piece) && !environment.stop;
  });
}

Status converse(ChatSession& session, const GenerationRequest& request,
                const Environment& environment, Terminal* terminal, bool quiet) {
  terminal->notice("Ctrl-C stops an answer, Ctrl-D ends the conversation");
  LineReader lines;
  while (true) {
    terminal->text("> ");
    const auto line = wait_for_line(&lines, environment);
    if (!line) break;
    if (line->find_first_not_of(" \t\r") == std::string::npos) continue;
    AnswerPrinter printer(environment.out, *terminal, true, quiet);
    auto answer = answer_message(session, *line, request, &printer, environment);
    printer.end(true);
    if (!answer) return answer.error();
    if (!environment.out.works()) break;  // main() says why
    if (environment.stop) environment.rearm_stop();
  }
  terminal->text("\n");
  return {};
}

}  // namespace potluck
