// `potluck run`: generate text in the terminal.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/engine_flags.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

struct RunFlags {
  EngineFlags engine;
  std::optional<std::string> prompt;
  uint32_t max_tokens = 256;
  SamplingSettings sampling;
  std::optional<uint64_t> seed;
  bool raw = false;
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

Result<std::vector<TokenId>> prompt_tokens(const Model& model, const std::string& text) {
  const Tokenizer* tokenizer = model.tokenizer();
  if (tokenizer == nullptr) {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("{}: no usable tokenizer: {}", model.file().path(), model.tokenizer_error())};
  }
  std::vector<TokenId> tokens = tokenizer->prompt_prefix();
  Result<std::vector<TokenId>> encoded = tokenizer->encode(text, SpecialTokens::kAsText);
  if (!encoded) return encoded.error().in("prompt");
  tokens.insert(tokens.end(), encoded->begin(), encoded->end());
  return tokens;
}

double per_second(uint64_t count, Duration time) {
  double seconds = std::chrono::duration<double>(time).count();
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

std::string closing_line(const GenerationResult& result, size_t prompt_tokens,
                         const ExpertCounters& counters) {
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

void print_json(const std::string& text, const GenerationResult& result,
                const ExpertCounters& counters) {
  nlohmann::json report = {{"text", text},
                           {"tokens", result.tokens},
                           {"finish_reason", result.finish_reason},
                           {"workers", counters.workers},
                           {"workers_lost", counters.workers_lost},
                           {"remote_expert_calls", counters.remote_expert_calls}};
  fmt::print("{}\n", report.dump());
}

// Writes to standard output as it comes; false once nobody reads it any more.
bool write_text(const std::string& text) {
  if (text.empty()) return true;
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

struct Generated {
  GenerationResult result;
  std::string text;
};

Result<Generated> generate_text(Runtime& runtime, const GenerationRequest& request, bool stream,
                                const std::atomic<bool>& stop) {
  StreamingDecoder decoder(*runtime.model().tokenizer());
  Generated generated;
  KvCache cache = runtime.new_cache();
  auto sink = [&](TokenId token) {
    std::string piece = decoder.push(token);
    generated.text += piece;
    return (!stream || write_text(piece)) && !stop;
  };
  auto result = generate(runtime.generation(), request, &cache, sink);
  if (!result) return result.error();
  generated.result = std::move(result).value();
  std::string rest = decoder.finish();
  generated.text += rest;
  if (stream && isatty(STDOUT_FILENO) == 1)
    rest += "\n";  // the shell's prompt on a line of its own
  if (stream) write_text(rest);
  return generated;
}

Status run(const RunFlags& flags, const Environment& environment) {
  Terminal terminal(environment.clock, flags.engine.quiet);
  if (Status status = check_sampling(flags.sampling); !status) return status;
  auto options = runtime_options(flags.engine, KvType::kF16, environment, &terminal);
  if (!options) return options.error();
  Result<std::string> prompt = read_prompt(flags);
  if (!prompt) return prompt.error();
  auto runtime = open_runtime(*options, environment, &terminal);
  if (!runtime) return runtime.error();
  auto tokens = prompt_tokens((*runtime)->model(), *prompt);
  if (!tokens) return tokens.error();

  GenerationRequest request;
  request.prompt = std::move(tokens).value();
  request.max_tokens = flags.max_tokens;
  request.sampling = flags.sampling;
  request.sampling.seed = flags.seed.value_or(environment.entropy.next64() >> 32);
  request.ignore_end = flags.ignore_end;
  request.prefill_chunk = flags.engine.prefill_chunk;
  if (!flags.seed.has_value() && request.sampling.temperature > 0) {
    terminal.notice(fmt::format("seed {}", request.sampling.seed));
  }
  auto generated = generate_text(**runtime, request, !flags.json, environment.stop);
  if (!generated) return generated.error();
  ExpertCounters counters = (*runtime)->counters();
  if (flags.json) print_json(generated->text, generated->result, counters);
  terminal.notice(closing_line(generated->result, request.prompt.size(), counters));
  return {};
}

}  // namespace

Command add_run(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* parser = app.add_subcommand("run", "generate text in the terminal");
  add_engine_flags(parser, &flags->engine);
  parser->add_option("-p,--prompt", flags->prompt, "the prompt (default: standard input)");
  parser->add_option("-n,--max-tokens", flags->max_tokens, "tokens to generate (default 256)");
  parser->add_option("--temp", flags->sampling.temperature, "temperature; 0: greedy (default 0.8)");
  parser->add_option("--top-k", flags->sampling.top_k, "keep the k likeliest; 0: off (default)");
  parser->add_option("--top-p", flags->sampling.top_p, "keep this much probability (default 0.95)");
  parser->add_option("--min-p", flags->sampling.min_p, "keep p >= this x largest p; 0: off");
  parser->add_option("--repeat-penalty", flags->sampling.repeat_penalty, "1: off (default)");
  parser->add_option("--seed", flags->seed, "seed of the draws (default: random, printed)");
  parser->add_flag("--raw", flags->raw, "complete the prompt as it is, without a chat template");
  parser->add_flag("--ignore-eos", flags->ignore_end, "go on after an end-of-text token");
  parser->add_flag("--json", flags->json, "one JSON object instead of the text");
  return {parser, [flags, &environment] { return run(*flags, environment); }};
}

}  // namespace potluck
