#include "coordinator/cli/conversation.h"

#include <fmt/format.h>

namespace potluck {
namespace {

constexpr const char* kHelp =
    "/new forgets the conversation, /exit ends it (as Ctrl-D does), Ctrl-C stops an answer; "
    "Alt-Enter begins a new line, and what is pasted stays one message";

// Whether the message was for us and not for the model.
bool obey(const std::string& message, Answerer& answerer, const ConversationOptions& options,
          Terminal& terminal) {
  if (auto command = options.commands.find(message); command != options.commands.end()) {
    command->second();
    return true;
  }
  if (options.other_command && options.other_command(message)) return true;
  if (message == "/new") {
    answerer.begin_again();
    terminal.notice("a new conversation");
    return true;
  }
  if (message == "/help") terminal.notice(kHelp);
  return message == "/help";
}

void answer(const std::string& message, Answerer& answerer, const ConversationOptions& options,
            const Environment& environment, Terminal& terminal) {
  AnswerPrinter printer(environment.out, terminal, true, options.quiet);
  auto answered = answerer.answer(message, options.request, &printer);
  printer.end(answered.ok() || printer.printed());
  if (answered) return;
  std::string hint;
  if (answered.error().code == ErrorCode::kLimit && answerer.chats()) {
    hint = " (/new begins a conversation that is short again)";
  }
  terminal.error(answered.error().message + hint);
}

}  // namespace

void converse(Answerer& answerer, MessageInput& input, const ConversationOptions& options,
              const Environment& environment, Terminal& terminal) {
  const WhileWaiting while_waiting = [&] {
    if (options.meanwhile) options.meanwhile();
    return !environment.stop.requested();
  };
  // Where standard output takes no more, answers would go nowhere.
  while (environment.out.works()) {
    auto message = input.next(options.prompt, while_waiting);
    if (!message) {
      terminal.error(message.error().message);
      continue;
    }
    if (!*message || **message == "/exit") return;
    // Ctrl-C dropped what was being typed; at an empty line it ends the conversation.
    if (environment.stop.requested()) environment.stop.rearm();
    if ((*message)->find_first_not_of(" \t\r\n") == std::string::npos) continue;
    if (obey(**message, answerer, options, terminal)) continue;
    answer(**message, answerer, options, environment, terminal);
    // Ctrl-C was for this answer; what SIGTERM asks for stays, and ends the conversation below.
    if (environment.stop.requested()) environment.stop.rearm();
    if (environment.stop.requested()) return;
  }
}

}  // namespace potluck
