#include "coordinator/cli/answerer.h"

#include <fmt/format.h>

#include "coordinator/cli/tools.h"
#include "coordinator/serving/engine_setup.h"
#include "engine/chat/prompt.h"

namespace potluck {
namespace {

// A model that calls and calls is stopped.
constexpr size_t kMostTurns = 16;

}  // namespace

Result<std::unique_ptr<Answerer>> Answerer::open(Runtime& runtime, const ChatFlags& flags,
                                                 const Environment& environment, Terminal& terminal,
                                                 PrefixStore* store, std::string model_id) {
  const Model& model = runtime.model();
  if (model.tokenizer() == nullptr) {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("{}: no usable tokenizer: {}", model.file().path(), model.tokenizer_error())};
  }
  std::unique_ptr<Answerer> made(new Answerer(runtime, flags, environment));
  made->store_ = store;
  made->model_id_ = std::move(model_id);
  if (Status started = made->start_chat(terminal); !started) return started.error();
  return made;
}

void Answerer::start_engine() {
  EngineOptions options;
  options.store = store_;
  options.served.id = model_id_;
  options.local_seconds = [this] { return local_seconds(environment_.clock); };
  engine_ = make_engine(runtime_, template_ ? &*template_ : nullptr, std::move(options));
}

Status Answerer::start_chat(Terminal& terminal) {
  auto chosen =
      choose_chat_template(flags_, runtime_.model().file().metadata(), environment_.storage);
  if (!chosen) return chosen.error();
  template_ = std::move(*chosen);
  start_engine();
  if (!template_) return {};
  if (!flags_.tools_file.empty()) {
    auto tools = load_tools(environment_.storage, flags_.tools_file);
    if (!tools) return tools.error();
    tools_ = std::move(*tools);
    if (!template_->answer_syntax().marks_calls()) {
      terminal.notice(
          "--tools: calls in the syntax of this chat template are not recognized; they "
          "stay in the text");
    }
  }
  begin_again();
  return {};
}

void Answerer::begin_again() {
  if (!template_) return;
  session_.emplace(engine_.get());
  session_->conversation() = begin_conversation(flags_);
  session_->conversation().tools = tools_;
}

Result<Answer> Answerer::answer(const std::string& message, const GenerationRequest& request,
                                AnswerPrinter* printer) {
  return session_ ? chat(message, request, printer) : complete(message, request, printer);
}

// Without a template: the prompt goes on, as it stands.
Result<Answer> Answerer::complete(const std::string& prompt, const GenerationRequest& request,
                                  AnswerPrinter* printer) {
  auto generated = generate(*engine_, prompt, request,
                            [&](const AnswerPiece& piece) { return printer->print(piece); });
  if (!generated) return generated.error();
  Answer answer;
  answer.take(std::move(*generated));
  return answer;
}

// Whether the template can write the conversation as it is.
Status Answerer::check_template() const {
  const Tokenizer& tokenizer = *runtime_.model().tokenizer();
  auto written = template_->render(session_->conversation(),
                                   template_setting(tokenizer, local_seconds(environment_.clock)));
  return written ? Status() : Status(written.error().in("chat template"));
}

Result<Answer> Answerer::chat(const std::string& message, const GenerationRequest& request,
                              AnswerPrinter* printer) {
  std::vector<ChatMessage>& messages = session_->conversation().messages;
  const size_t before = messages.size();
  messages.push_back({"user", JsonValue{message}, {}, {}, {}, {}});
  return chat_from(before, {}, request, printer);
}

// Answers the conversation as it is; where nothing comes of it, it has its first `before` messages
// again, and behind them what it had `otherwise`.
Result<Answer> Answerer::chat_from(size_t before, std::vector<ChatMessage> otherwise,
                                   const GenerationRequest& request, AnswerPrinter* printer) {
  auto answer = take_turns(request, printer);
  // Interrupted before its first token: the next message must not follow a question without an
  // answer.
  const bool nothing = answer && answer->result.tokens.empty() &&
                       answer->result.finish_reason == "interrupted" && answer->calls.empty();
  if (answer && !nothing) return answer;
  std::vector<ChatMessage>& messages = session_->conversation().messages;
  messages.resize(before);
  for (ChatMessage& message : otherwise) messages.push_back(std::move(message));
  return answer;
}

std::optional<size_t> Answerer::last_question() const {
  if (!session_) return std::nullopt;
  const std::vector<ChatMessage>& messages = session_->conversation().messages;
  for (size_t i = messages.size(); i-- > 0;) {
    if (messages[i].role == "user") return i;
  }
  return std::nullopt;
}

Result<Answer> Answerer::answer_again(const GenerationRequest& request, AnswerPrinter* printer) {
  const auto question = last_question();
  if (!question) {
    return Error{ErrorCode::kInvalidArgument, "there is no message that could be answered again"};
  }
  std::vector<ChatMessage>& messages = session_->conversation().messages;
  const auto tail = messages.begin() + static_cast<std::ptrdiff_t>(*question);
  std::vector<ChatMessage> otherwise(tail, messages.end());
  messages.resize(*question + 1);
  return chat_from(*question, std::move(otherwise), request, printer);
}

bool Answerer::undo() {
  const auto question = last_question();
  if (question) session_->conversation().messages.resize(*question);
  return question.has_value();
}

void Answerer::set_system(std::optional<std::string> text) {
  flags_.system = std::move(text);
  std::vector<ChatMessage>& messages = session_->conversation().messages;
  if (!messages.empty() && messages.front().role == "system") messages.erase(messages.begin());
  if (!flags_.system) return;
  messages.insert(messages.begin(), {"system", JsonValue{*flags_.system}, {}, {}, {}, {}});
}

std::string Answerer::system() const {
  const std::vector<ChatMessage> all = messages();
  const bool has = !all.empty() && all.front().role == "system";
  const std::string* text = has ? all.front().content.text() : nullptr;
  return text == nullptr ? "" : *text;
}

std::vector<ChatMessage> Answerer::messages() const {
  return session_ ? session_->conversation().messages : std::vector<ChatMessage>();
}

void Answerer::set_messages(std::vector<ChatMessage> messages) {
  session_->conversation().messages = std::move(messages);
}

Result<Answer> Answerer::take_turns(const GenerationRequest& request, AnswerPrinter* printer) {
  Answer answer;
  for (size_t turn = 0; turn < kMostTurns; ++turn) {
    auto said =
        session_->answer(request, [&](const AnswerPiece& piece) { return printer->print(piece); });
    if (!said) {
      // A template that cannot write this conversation is the cause then, and the only error for
      // which there is a way around.
      Status written = check_template();
      return written ? said.error() : with_way_out(written.error());
    }
    answer.take(std::move(*said));
    if (answer.text.calls.empty() || answer.result.finish_reason == "interrupted") break;
    auto goes_on = answer_calls(answer.text.calls, &answer, printer);
    if (!goes_on) return goes_on.error();
    if (!*goes_on) break;
  }
  return answer;
}

// Whether all calls were answered, so that the model can go on.
Result<bool> Answerer::answer_calls(const std::vector<ToolCall>& calls, Answer* answer,
                                    AnswerPrinter* printer) {
  bool all = true;
  for (const ToolCall& call : calls) {
    printer->print_call(call);
    Result<std::optional<std::string>> result = std::optional<std::string>();
    // After one that is left to the reader, the others are, too: the model can only go on with all
    // results.
    if (answer_tool_ && all) result = answer_tool_(call);
    if (!result) return result.error();
    answer->calls.push_back({call, *result});
    all = all && result->has_value();
    if (!result->has_value()) continue;
    printer->print_result(call, **result);
    session_->conversation().messages.push_back(
        {"tool", JsonValue{**result}, {}, {}, call.id, call.name});
  }
  return all;
}

}  // namespace potluck
