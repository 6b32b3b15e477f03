// `potluck run`: generate text in the terminal.
#include <iostream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/chat_flags.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/conversation.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/flags.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

// Far beyond what is of use: at these ends all tokens are alike, or none is ever repeated.
constexpr double kLargestTemperature = 1000;
constexpr double kSmallestPenalty = 0.001;
constexpr double kLargestPenalty = 1000;

struct RunFlags {
  EngineFlags engine;
  std::optional<std::string> prompt;
  uint32_t max_tokens = 256;
  SamplingSettings sampling;
  std::optional<uint64_t> seed;
  ChatFlags chat;
  bool ignore_end = false;
  bool json = false;
};

// The prompt from -p, or all of standard input.
Result<std::string> read_prompt(const RunFlags& flags) {
  if (flags.prompt.has_value()) return *flags.prompt;
  std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  if (text.size() > limits::kPromptBytes) {
    return Error{ErrorCode::kLimit,
                 fmt::format("the prompt on standard input has {}, at most {} are accepted",
                             format_bytes(text.size()), format_bytes(limits::kPromptBytes))};
  }
  return text;
}

Status require_tokenizer(const Model& model) {
  if (model.tokenizer() != nullptr) return {};
  return Error{ErrorCode::kUnsupported, fmt::format("{}: no usable tokenizer: {}",
                                                    model.file().path(), model.tokenizer_error())};
}

Result<std::vector<TokenId>> prompt_tokens(const Model& model, const std::string& text) {
  if (Status status = require_tokenizer(model); !status) return status.error();
  const Tokenizer* tokenizer = model.tokenizer();
  std::vector<TokenId> tokens = tokenizer->prompt_prefix();
  Result<std::vector<TokenId>> encoded = tokenizer->encode(text, SpecialTokens::kAsText);
  if (!encoded) return encoded.error().in("prompt");
  tokens.insert(tokens.end(), encoded->begin(), encoded->end());
  return tokens;
}

struct Generated {
  GenerationResult result;
  AnswerPiece text;
  size_t prompt_tokens = 0;
};

double per_second(uint64_t count, Duration time) {
  double seconds = std::chrono::duration<double>(time).count();
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

std::string closing_line(const Generated& generated, const ExpertCounters& counters) {
  const GenerationResult& result = generated.result;
  const size_t prompt_tokens = generated.prompt_tokens;
  double tokens = std::max<double>(1, static_cast<double>(prompt_tokens + result.decode_steps));
  std::string line =
      fmt::format("{} tokens, {:.1f} tokens/s (prompt of {}: {:.1f} tokens/s)",
                  result.tokens.size(), per_second(result.decode_steps, result.decode_time),
                  prompt_tokens, per_second(prompt_tokens, result.prefill_time));
  if (counters.workers == 0) return line + ", no workers";
  line += fmt::format(", {} workers", counters.workers);
  if (counters.workers_lost > 0) line += fmt::format(" ({} lost)", counters.workers_lost);
  return line + fmt::format(", {:.1f} round trips and {:.0f} bytes per token",
                            static_cast<double>(counters.round_trips) / tokens,
                            static_cast<double>(counters.wire_bytes) / tokens);
}

void print_json(const Generated& generated, const ExpertCounters& counters, Output& out) {
  nlohmann::json report = {{"text", generated.text.content},
                           {"tokens", generated.result.tokens},
                           {"finish_reason", generated.result.finish_reason},
                           {"workers", counters.workers},
                           {"workers_lost", counters.workers_lost},
                           {"remote_expert_calls", counters.remote_expert_calls}};
  if (!generated.text.reasoning.empty()) report["reasoning"] = generated.text.reasoning;
  out.json(report);
}

// Without a template: the prompt goes on, as it stands.
Result<Generated> complete(Runtime& runtime, const std::string& prompt, GenerationRequest request,
                           AnswerPrinter* printer, const std::atomic<bool>& stop) {
  auto tokens = prompt_tokens(runtime.model(), prompt);
  if (!tokens) return tokens.error();
  request.prompt = std::move(*tokens);
  StreamingDecoder decoder(*runtime.model().tokenizer());
  Generated generated;
  generated.prompt_tokens = request.prompt.size();
  KvCache cache = runtime.new_cache();
  auto sink = [&](TokenId token) {
    const AnswerPiece piece{{}, decoder.push(token)};
    generated.text.content += piece.content;
    return printer->print(piece) && !stop;
  };
  auto result = generate(runtime.generation(), request, &cache, sink);
  if (!result) return result.error();
  generated.result = std::move(result).value();
  const std::string rest = decoder.finish();
  generated.text.content += rest;
  printer->print({{}, rest});
  return generated;
}

// One turn of a conversation.
Result<Generated> chat_once(ChatSession& session, const std::string& prompt,
                            const GenerationRequest& request, AnswerPrinter* printer,
                            const Environment& environment) {
  auto answer = answer_message(session, prompt, request, printer, environment);
  if (!answer) return answer.error();
  return Generated{std::move(answer->result), std::move(answer->text),
                   answer->prompt_tokens - answer->cached_tokens};
}

GenerationRequest base_request(const RunFlags& flags, const Environment& environment,
                               Terminal* terminal) {
  GenerationRequest request;
  request.max_tokens = flags.max_tokens;
  request.sampling = flags.sampling;
  request.sampling.seed = flags.seed.value_or(environment.entropy.next64() >> 32);
  request.ignore_end = flags.ignore_end;
  request.prefill_chunk = flags.engine.prefill_chunk;
  if (!flags.seed.has_value() && request.sampling.temperature > 0) {
    terminal->notice(fmt::format("seed {}", request.sampling.seed));
  }
  return request;
}

// People at a terminal who give no prompt want to talk, if the model can.
bool wants_conversation(const RunFlags& flags) {
  return !flags.prompt.has_value() && !flags.chat.raw && !flags.json && isatty(STDIN_FILENO) == 1;
}

Status generate_once(const RunFlags& flags, Runtime& runtime, ChatSession* session,
                     const std::string& prompt, const Environment& environment,
                     Terminal* terminal) {
  const GenerationRequest request = base_request(flags, environment, terminal);
  AnswerPrinter printer(environment.out, *terminal, !flags.json, flags.engine.quiet);
  auto generated = session != nullptr
                       ? chat_once(*session, prompt, request, &printer, environment)
                       : complete(runtime, prompt, request, &printer, environment.stop);
  if (!generated) return generated.error();
  printer.end(environment.out.is_terminal());  // the shell's prompt on a line of its own
  const ExpertCounters counters = runtime.counters();
  if (flags.json) print_json(*generated, counters, environment.out);
  if (environment.out.works()) terminal->notice(closing_line(*generated, counters));
  return {};
}

Status run(const RunFlags& flags, const Environment& environment) {
  Terminal terminal(environment.clock, flags.engine.quiet);
  if (Status status = check_sampling(flags.sampling); !status) return status;
  if (Status status = check_chat_flags(flags.chat); !status) return status;
  auto options = runtime_options(flags.engine, KvType::kF16, environment, &terminal);
  if (!options) return options.error();
  const bool talks = wants_conversation(flags);
  Result<std::string> prompt = talks ? std::string() : read_prompt(flags);
  if (!prompt) return prompt.error();
  auto opened = open_runtime(*options, environment, &terminal);
  if (!opened) return opened.error();
  Runtime& runtime = **opened;
  const Model& model = runtime.model();
  auto chosen = choose_chat_template(flags.chat, model.file().metadata(), environment.storage);
  if (!chosen) return chosen.error();
  std::optional<ChatSession> session;
  if (chosen->has_value()) {
    if (Status status = require_tokenizer(model); !status) return status;
    session.emplace(&runtime, &**chosen);
    session->conversation() = begin_conversation(flags.chat);
  }
  if (talks && session) {
    return converse(*session, base_request(flags, environment, &terminal), environment, &terminal,
                    flags.engine.quiet);
  }
  if (talks) prompt = read_prompt(flags);
  if (!prompt) return prompt.error();
  return generate_once(flags, runtime, session ? &*session : nullptr, *prompt, environment,
                       &terminal);
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
  CLI::App* parser = app.add_subcommand("run", "generate text in the terminal");
  add_engine_flags(parser, &flags->engine);
  add_text(parser, "-p,--prompt", &flags->prompt,
           "the prompt (default: standard input; at a terminal, a conversation)");
  add_whole(parser, "-n,--max-tokens", &flags->max_tokens, {0, limits::kContext},
            "tokens to generate (default 256)");
  add_sampling_flags(parser, flags.get());
  add_chat_flags(parser, &flags->chat);
  add_switch(parser, "--ignore-eos", &flags->ignore_end, "go on after an end-of-text token");
  add_switch(parser, "--json", &flags->json, "one JSON object instead of the text");
  return {parser, [flags, &environment] { return run(*flags, environment); }};
}

}  // namespace potluck
