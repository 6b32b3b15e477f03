#include "coordinator/cli/conversation.h"

#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "coordinator/cli/answer_summary.h"
#include "coordinator/cli/chat_settings.h"
#include "coordinator/cli/conversation_file.h"
#include "coordinator/cli/message_builder.h"

namespace potluck {
namespace {

constexpr const char* kMorePrompt = "... ";

// "~/FILE" as shells read it; there is no shell here.
std::string expand_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return path.starts_with("~/") && home != nullptr ? home + path.substr(1) : path;
}

class Talk {
 public:
  Talk(Answerer& answerer, MessageInput& input, const ConversationOptions& options,
       const Environment& environment, Terminal& terminal)
      : answerer_(answerer),
        input_(input),
        options_(options),
        environment_(environment),
        stop_(environment.stop),
        terminal_(terminal),
        request_(options.request) {}

  void run();

 private:
  enum class Heard { kMessage, kNothing, kEnd };

  Heard listen(std::string* message);
  Heard interrupted(bool begun);
  bool obey(const std::string& message);
  void obey(const ChatCommand& command);
  void answer(const std::string& message);
  void answer_again();
  void show(const std::function<Result<Answer>(const GenerationRequest&, AnswerPrinter*)>& ask,
            GenerationRequest request);
  void set_system(const std::string& text);
  void save(const std::string& path);
  void load(const std::string& path);
  void set(const std::string& words);
  void stats();
  bool needs_template(const std::string& command);
  void say(const std::string& text);

  Answerer& answerer_;
  MessageInput& input_;
  const ConversationOptions& options_;
  const Environment& environment_;
  StopSignal& stop_;
  Terminal& terminal_;
  GenerationRequest request_;
  std::optional<Answer> last_;
  uint64_t again_ = 0;   // how often the last message was answered anew
  bool warned_ = false;  // Ctrl-C was pressed once at an empty line
  bool exits_ = false;
};

// Also with --quiet: this is an answer.
void Talk::say(const std::string& text) {
  if (options_.quiet) return terminal_.text(terminal_line(text) + "\n");
  terminal_.notice(text);
}

void Talk::run() {
  // Where standard output takes no more, answers would go nowhere.
  while (environment_.out.works() && !exits_) {
    std::string message;
    const Heard heard = listen(&message);
    if (heard == Heard::kEnd) return;
    if (heard == Heard::kNothing) continue;
    input_.remember(message);
    if (obey(message)) continue;
    answer(message);
    // Ctrl-C was for this answer; what SIGTERM asks for stays, and ends the conversation below.
    if (stop_.requested()) stop_.rearm();
    if (stop_.requested()) return;
  }
}

Talk::Heard Talk::listen(std::string* message) {
  const WhileWaiting while_waiting = [&] {
    if (options_.meanwhile) options_.meanwhile();
    return !stop_.requested();
  };
  MessageBuilder builder;
  bool whole = false;
  while (!whole) {
    const bool begun = builder.unfinished();
    auto line = input_.next(begun && options_.typed ? kMorePrompt : options_.prompt, while_waiting);
    if (!line) {
      terminal_.error(line.error().message);
      return Heard::kNothing;
    }
    if (!*line) return stop_.requested() ? interrupted(begun) : Heard::kEnd;
    warned_ = false;
    // Ctrl-C dropped what was being typed.
    if (stop_.requested()) {
      stop_.rearm();
      return stop_.requested() ? Heard::kEnd : Heard::kNothing;
    }
    if (!options_.typed) {
      *message = std::move(**line);
      break;
    }
    whole = builder.push(**line);
  }
  if (whole) *message = builder.take();
  const bool blank = message->find_first_not_of(" \t\r\n") == std::string::npos;
  return blank ? Heard::kNothing : Heard::kMessage;
}

// Ctrl-C or SIGTERM at an empty line.
Talk::Heard Talk::interrupted(bool begun) {
  if (!options_.typed || (warned_ && !begun)) return Heard::kEnd;
  stop_.rearm();
  if (stop_.requested()) return Heard::kEnd;
  if (begun) return Heard::kNothing;
  warned_ = true;
  say("Ctrl-C once more, or Ctrl-D, ends the conversation");
  return Heard::kNothing;
}

// Whether the message was for us and not for the model.
bool Talk::obey(const std::string& message) {
  if (auto command = options_.commands.find(message); command != options_.commands.end()) {
    command->second();
    return true;
  }
  if (options_.other_command && options_.other_command(message)) return true;
  const auto command = parse_chat_command(message);
  if (command) obey(*command);
  return command.has_value();
}

void Talk::obey(const ChatCommand& command) {
  switch (command.verb) {
    case ChatVerb::kHelp:
      return terminal_.text(chat_help());
    case ChatVerb::kNew:
      answerer_.begin_again();
      last_.reset();
      return say("a new conversation");
    case ChatVerb::kExit:
      exits_ = true;
      return;
    case ChatVerb::kSystem:
      return set_system(command.argument);
    case ChatVerb::kRegenerate:
      return answer_again();
    case ChatVerb::kUndo:
      return say(answerer_.undo() ? "the last message and its answer are forgotten"
                                  : "there is no message to take back");
    case ChatVerb::kSave:
      return save(command.argument);
    case ChatVerb::kLoad:
      return load(command.argument);
    case ChatVerb::kSet:
      return set(command.argument);
    case ChatVerb::kStats:
      return stats();
    case ChatVerb::kUnknown:
      break;
  }
  terminal_.error(unknown_command(command.name));
}

void Talk::show(const std::function<Result<Answer>(const GenerationRequest&, AnswerPrinter*)>& ask,
                GenerationRequest request) {
  AnswerPrinter printer(environment_.out, terminal_, true, options_.quiet);
  request.on_prefill = [&](uint32_t done, uint32_t total) { printer.prefill(done, total); };
  auto answered = ask(request, &printer);
  printer.end(answered.ok() || printer.printed());
  if (answered) {
    last_ = std::move(*answered);
    return;
  }
  std::string hint;
  if (answered.error().code == ErrorCode::kLimit && answerer_.chats()) {
    hint = " (/new begins a conversation that is short again)";
  }
  terminal_.error(answered.error().message + hint);
}

void Talk::answer(const std::string& message) {
  again_ = 0;
  show([&](const GenerationRequest& request,
           AnswerPrinter* printer) { return answerer_.answer(message, request, printer); },
       request_);
}

// The seed and the position decide what is drawn: with the same seed it would be the same answer.
void Talk::answer_again() {
  if (!needs_template("/regenerate")) return;
  GenerationRequest request = request_;
  if (request.sampling.temperature > 0) {
    request.sampling.seed += ++again_;
    say(fmt::format("seed {}", request.sampling.seed));
  } else {
    say("at temperature 0 the answer is the same again (/set temp 0.8)");
  }
  show([&](const GenerationRequest& asked,
           AnswerPrinter* printer) { return answerer_.answer_again(asked, printer); },
       std::move(request));
  // As after any answer: Ctrl-C was for this one.
  if (stop_.requested()) stop_.rearm();
  exits_ = exits_ || stop_.requested();
}

bool Talk::needs_template(const std::string& command) {
  if (answerer_.chats()) return true;
  terminal_.error(command + ": without a chat template there is no conversation");
  return false;
}

void Talk::set_system(const std::string& text) {
  if (!needs_template("/system")) return;
  if (!text.empty()) {
    answerer_.set_system(text == "-" ? std::nullopt : std::optional(text));
  }
  const std::string now = answerer_.system();
  say(now.empty() ? "no system message" : "the system message: " + now);
}

void Talk::save(const std::string& path) {
  if (!needs_template("/save")) return;
  if (path.empty()) return terminal_.error("/save: expected the name of a file");
  SavedConversation saved{options_.model, answerer_.messages()};
  const Status written = save_conversation(environment_.storage, expand_home(path), saved);
  if (!written) return terminal_.error("/save: " + written.error().message);
  say(fmt::format("{} messages written to {}", saved.messages.size(), path));
}

void Talk::load(const std::string& path) {
  if (!needs_template("/load")) return;
  if (path.empty()) return terminal_.error("/load: expected the name of a file");
  auto loaded = load_conversation(environment_.storage, expand_home(path));
  if (!loaded) return terminal_.error("/load: " + loaded.error().message);
  const size_t count = loaded->messages.size();
  answerer_.set_messages(std::move(loaded->messages));
  last_.reset();
  const bool other = !loaded->model.empty() && loaded->model != options_.model;
  say(fmt::format("{} messages read from {}{}", count, path,
                  other ? "; they were with " + loaded->model : ""));
}

void Talk::set(const std::string& words) {
  if (!words.empty()) {
    if (Status done = change_setting(words, &request_); !done) {
      return terminal_.error(done.error().message);
    }
  }
  say(describe_settings(request_));
}

void Talk::stats() {
  if (!last_) return say("nothing has been answered yet");
  const ExpertCounters counters = options_.counters ? options_.counters() : ExpertCounters();
  say(answer_summary(*last_, counters));
  if (!answerer_.chats()) return;
  say(fmt::format("{} messages in this conversation", answerer_.messages().size()));
}

}  // namespace

void converse(Answerer& answerer, MessageInput& input, const ConversationOptions& options,
              const Environment& environment, Terminal& terminal) {
  Talk(answerer, input, options, environment, terminal).run();
}

}  // namespace potluck
