// `potluck run`: generate text in the terminal.
#include <array>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/answer_summary.h"
#include "coordinator/cli/chat_settings.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/conversation.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/terminal_guard.h"
#include "coordinator/cli/terminal_style.h"
#include "coordinator/cli/tool_command.h"
#include "coordinator/cli/tools.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

// What a line editor may have changed: pastes come as keys again, and colors end.
constexpr const char* kPlainTerminal = "\x1b[?2004l\x1b[0m";

struct RunFlags {
  EngineFlags engine;
  std::optional<std::string> prompt;
  uint32_t max_tokens = 256;
  SamplingSettings sampling;
  std::optional<uint64_t> seed;
  ChatFlags chat;
  bool interactive = false;
  bool ignore_end = false;
  bool json = false;
  bool no_history = false;
};

// All of standard input, without the line end that `echo` puts behind it. It may have no end, so it
// is read only up to the limit.
Result<std::string> read_standard_input() {
  std::string text;
  std::array<char, 64 * kKiB> chunk;
  while (std::cin && text.size() <= limits::kPromptBytes) {
    std::cin.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    text.append(chunk.data(), static_cast<size_t>(std::cin.gcount()));
  }
  if (text.size() > limits::kPromptBytes) {
    return Error{ErrorCode::kLimit,
                 fmt::format("the prompt on standard input: expected at most {}, found more",
                             format_bytes(limits::kPromptBytes))};
  }
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

nlohmann::json calls_of(const Answer& answer) {
  nlohmann::json calls = nlohmann::json::array();
  for (const AnsweredCall& answered : answer.calls) {
    const ToolCall& call = answered.call;
    nlohmann::json entry = {
        {"id", call.id}, {"name", call.name}, {"arguments", write_json(call.arguments)}};
    if (answered.result) entry["result"] = *answered.result;
    calls.push_back(std::move(entry));
  }
  return calls;
}

void print_json(const Answer& answer, const ExpertCounters& counters, Output& out) {
  nlohmann::json report = {{"text", answer.text.content},
                           {"tokens", answer.result.tokens},
                           {"finish_reason", answer.result.finish_reason},
                           {"workers", counters.workers},
                           {"workers_lost", counters.workers_lost},
                           {"remote_expert_calls", counters.dispatch.remote_unit_calls}};
  if (!answer.text.reasoning.empty()) report["reasoning"] = answer.text.reasoning;
  if (!answer.calls.empty()) report["tool_calls"] = calls_of(answer);
  out.json(report);
}

GenerationRequest base_request(const RunFlags& flags, const Environment& environment,
                               Terminal* terminal) {
  GenerationRequest request;
  request.max_tokens = flags.max_tokens;
  request.sampling = flags.sampling;
  request.sampling.seed = flags.seed.value_or(environment.entropy.next64() >> 32);
  request.ignore_end = flags.ignore_end;
  request.cancel = &environment.stop.requested();
  if (!flags.seed.has_value() && request.sampling.temperature > 0) {
    terminal->notice(fmt::format("seed {}", request.sampling.seed));
  }
  return request;
}

bool is_typed() {
  return isatty(STDIN_FILENO) == 1;
}

// People at a terminal who give no prompt want to talk, if the model can.
bool wants_conversation(const RunFlags& flags) {
  return flags.interactive ||
         (!flags.prompt.has_value() && !flags.chat.raw && !flags.json && is_typed());
}

// What answers the model's calls: the user's command, else the person at the terminal.
ToolAnswerer tool_answerer(const RunFlags& flags, const Environment& environment,
                           MessageInput& input) {
  if (!flags.chat.tool_command.empty()) {
    return [&](const ToolCall& call) -> Result<std::optional<std::string>> {
      auto result = run_tool_command(flags.chat.tool_command, call_as_json(call),
                                     environment.stop.requested());
      if (!result) return result.error().in("--tool-command");
      return std::optional(std::move(*result));
    };
  }
  if (flags.chat.tools_file.empty() || flags.json || !is_typed()) return nullptr;
  return [&](const ToolCall& call) {
    return input.next(call.name + " answers> ", [&] { return !environment.stop.requested(); });
  };
}

// Calls that nothing has answered are the result, one to a line.
void print_open_calls(const Answer& answer, Output& out) {
  for (const AnsweredCall& answered : answer.calls) {
    if (!answered.result) out.line(call_as_json(answered.call));
  }
}

Status generate_once(const RunFlags& flags, Runtime& runtime, Answerer& answerer,
                     const std::string& prompt, const GenerationRequest& request,
                     const Environment& environment, Terminal* terminal) {
  AnswerPrinter printer(environment.out, *terminal, !flags.json, flags.engine.quiet);
  GenerationRequest shown = request;
  shown.on_prefill = [&](uint32_t done, uint32_t total) { printer.prefill(done, total); };
  auto answer = answerer.answer(prompt, shown, &printer);
  if (!answer) return answer.error();
  // The shell's prompt, or the next message, on a line of its own.
  printer.end(environment.out.is_terminal() || flags.interactive);
  const ExpertCounters counters = runtime.counters();
  if (flags.json) {
    print_json(*answer, counters, environment.out);
  } else {
    print_open_calls(*answer, environment.out);
  }
  // No figures of an answer that did not arrive.
  if (environment.out.works()) terminal->notice(answer_summary(*answer, counters));
  return {};
}

Status interrupted() {
  return Error{ErrorCode::kCancelled, "interrupted"};
}

void hint_at_typing(const RunFlags& flags, bool chats, Terminal* terminal) {
  if (!is_typed() || (chats && !flags.json)) return;
  terminal->notice(fmt::format("{}: type the prompt, and Ctrl-D on a line of its own to end it",
                               chats ? "--json" : "no chat template is used"));
}

// What was asked for, once all is loaded. Signals end it in order.
Status talk(const RunFlags& flags, std::optional<std::string> prompt, Runtime& runtime,
            Answerer& answerer, const Environment& environment, Terminal* terminal) {
  const GenerationRequest request = base_request(flags, environment, terminal);
  StopSignal::Watch watch(environment.stop);
  InputHistory history(&environment.storage, flags.no_history ? "" : history_path());
  const TerminalGuard guard(
      environment.stop, STDIN_FILENO, STDERR_FILENO,
      own_terminal_style(isatty(STDERR_FILENO) == 1).draws ? kPlainTerminal : "");
  const auto input = standard_input(*terminal, &history);
  answerer.set_tool_answerer(tool_answerer(flags, environment, *input));
  if (prompt) {
    Status answered =
        generate_once(flags, runtime, answerer, *prompt, request, environment, terminal);
    if (!answered) return answered;
    if (environment.stop.requested() && flags.interactive) environment.stop.rearm();
    if (environment.stop.requested()) return interrupted();
    if (!flags.interactive) return {};
  }
  terminal->notice(is_typed() ? "Ctrl-C stops an answer, Ctrl-D ends the conversation, /help lists "
                                "commands"
                              : "each line of standard input is a message");
  ConversationOptions options;
  options.request = request;
  options.prompt = is_typed() ? "> " : "";
  options.quiet = flags.engine.quiet;
  options.typed = is_typed();
  options.model = runtime.model().config().name;
  options.counters = [&] { return runtime.counters(); };
  converse(answerer, *input, options, environment, *terminal);
  return environment.stop.requested() ? interrupted() : Status();
}

Status check_flags(const RunFlags& flags) {
  if (flags.interactive && flags.json) {
    return Error{ErrorCode::kInvalidArgument, "--interactive: not with --json"};
  }
  if (Status status = check_sampling(flags.sampling); !status) return status;
  return check_chat_flags(flags.chat);
}

Status run(const RunFlags& flags, const Environment& environment) {
  Terminal& terminal = environment.terminal;
  if (Status status = check_flags(flags); !status) return status;
  auto options = runtime_options(flags.engine, KvType::kF16, environment, &terminal);
  if (!options) return options.error();
  std::optional<std::string> prompt = flags.prompt;
  // What comes through a pipe is read before the model, so that the other side need not wait.
  const auto read_prompt = [&prompt]() -> Status {
    auto text = read_standard_input();
    if (!text) return text.error();
    prompt = std::move(*text);
    return {};
  };
  if (!prompt && !flags.interactive && !is_typed()) {
    if (Status status = read_prompt(); !status) return status;
  }
  auto runtime = open_runtime(*options, environment, &terminal);
  if (!runtime) return runtime.error();
  auto answerer = Answerer::open(**runtime, flags.chat, environment, terminal);
  if (!answerer) return answerer.error();
  const bool converses = wants_conversation(flags) && (flags.interactive || (*answerer)->chats());
  if (!prompt && !converses) {
    hint_at_typing(flags, (*answerer)->chats(), &terminal);
    if (Status status = read_prompt(); !status) return status;
  }
  Status talked = talk(flags, std::move(prompt), **runtime, **answerer, environment, &terminal);
  // Also of an answer that was interrupted.
  Status traced = (*runtime)->finish_trace();
  return talked ? traced : talked;
}

void add_sampling_flags(CLI::App* parser, RunFlags* flags) {
  SamplingSettings* sampling = &flags->sampling;
  add_decimal(parser, "--temp", &sampling->temperature, {0, kLargestTemperature},
              "temperature; 0: greedy (default 0.8)");
  add_whole(parser, "--top-k", &sampling->top_k, {0, limits::kVocabulary},
            "keep the k likeliest; 0: off (default)");
  add_decimal(parser, "--top-p", &sampling->top_p, {0, 1},
              "keep this much probability (default 0.95)");
  add_decimal(parser, "--min-p", &sampling->min_p, {0, 1}, "keep p >= this x largest p; 0: off");
  add_decimal(parser, "--repeat-penalty", &sampling->repeat_penalty,
              {kSmallestPenalty, kLargestPenalty}, "1: off (default)");
  add_whole(parser, "--seed", &flags->seed, {0, std::numeric_limits<uint64_t>::max()},
            "seed of the draws (default: random, printed)");
}

}  // namespace

Command add_run(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* parser = add_command(app, "run", "generate text in the terminal");
  add_engine_flags(parser, &flags->engine);
  add_speculation_flag(parser, &flags->engine);
  add_text(parser, "-p,--prompt", &flags->prompt,
           "the prompt (default: standard input; at a terminal, a conversation)");
  add_whole(parser, "-n,--max-tokens", &flags->max_tokens, {0, limits::kContext},
            "tokens to generate (default 256)");
  add_switch(parser, "-i,--interactive", &flags->interactive,
             "go on as a conversation after the answer to -p; each line of standard input is a "
             "message");
  add_sampling_flags(parser, flags.get());
  add_chat_flags(parser, &flags->chat);
  add_switch(
      parser, "--no-history", &flags->no_history,
      "do not keep what is typed for later runs (in ~/.local/state/potluck/history, or below "
      "$XDG_STATE_HOME)");
  add_switch(parser, "--ignore-eos", &flags->ignore_end, "go on after an end-of-text token");
  add_switch(parser, "--json", &flags->json, "one JSON object instead of the text");
  return {parser, [flags, &environment] { return run(*flags, environment); }};
}

}  // namespace potluck
