#include "coordinator/cli/conversation.h"

#include <cstdio>

#include <fmt/format.h>

#include "coordinator/cli/chat_flags.h"
#include "coordinator/cli/line_reader.h"

namespace potluck {
namespace {

constexpr Duration kTurn = std::chrono::milliseconds(100);

bool write_text(std::FILE* file, const std::string& text) {
  if (text.empty()) return true;
  return std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0;
}

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
    write_text(stderr, piece.reasoning);
    in_reasoning_ = true;
  }
  if (in_reasoning_ && !piece.content.empty()) {
    write_text(stderr, "\n\n");
    in_reasoning_ = false;
  }
  return write_text(stdout, piece.content);
}

void AnswerPrinter::end(bool new_line) {
  if (in_reasoning_) write_text(stderr, "\n");
  in_reasoning_ = false;
  if (prints_ && new_line) write_text(stdout, "\n");
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
    write_text(stderr, "> ");
    const auto line = wait_for_line(&lines, environment);
    if (!line) break;
    if (line->find_first_not_of(" \t\r") == std::string::npos) continue;
    AnswerPrinter printer(true, quiet);
    auto answer = answer_message(session, *line, request, &printer, environment);
    printer.end(true);
    if (!answer) return answer.error();
    if (environment.stop) environment.rearm_stop();
  }
  write_text(stderr, "\n");
  return {};
}

}  // namespace potluck
