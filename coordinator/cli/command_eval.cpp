// `potluck eval`: score given tokens or a text.
#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/activation_dump.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/flags.h"
#include "coordinator/serving/token_list.h"
#include "engine/base/limits.h"
#include "engine/chat/prompt.h"
#include "engine/kernels/exact_math.h"
#include "engine/model/scoring.h"

namespace potluck {
namespace {

constexpr uint32_t kPerplexityContext = 512;  // llama.cpp's default

struct EvalFlags {
  EngineFlags engine;
  std::string tokens_file;
  std::string text_file;
  std::string activations_file;
  uint32_t greedy = 0;
  bool json = false;
};

struct Evaluation {
  uint64_t prompt_tokens = 0;
  std::vector<float> last_logits;
  std::vector<TokenId> greedy;
  double mean_nll = 0;
  double perplexity = 0;
};

Result<std::vector<TokenId>> read_token_file(Storage& storage, const std::string& path) {
  Result<ByteVector> bytes = read_file(storage, path, limits::kPromptBytes);
  if (!bytes) return bytes.error();
  Result<std::vector<TokenId>> tokens = parse_token_list(as_text(*bytes));
  return tokens ? std::move(tokens) : Result<std::vector<TokenId>>(tokens.error().in(path));
}

Result<std::vector<TokenId>> tokenize_file(const Model& model, Storage& storage,
                                           const std::string& path) {
  if (model.tokenizer() == nullptr) {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("{}: no usable tokenizer: {}", model.file().path(), model.tokenizer_error())};
  }
  Result<ByteVector> bytes = read_file(storage, path, limits::kPromptBytes);
  if (!bytes) return bytes.error();
  auto tokens = encode_plain_text(*model.tokenizer(), as_text(*bytes));
  if (!tokens) return tokens.error().in(path);
  return tokens;
}

Result<Evaluation> score_file_of_tokens(const EvalFlags& flags, const ScoringRun& run,
                                        const std::vector<TokenId>& tokens) {
  Result<TokenScore> score = score_tokens(run, tokens);
  if (!score) return score.error();
  Evaluation evaluation;
  evaluation.prompt_tokens = tokens.size();
  evaluation.mean_nll = score->mean_nll;
  // Not std::exp(), whose last bits differ between C libraries: equal runs give equal figures.
  evaluation.perplexity = exact_exp64(score->mean_nll);
  evaluation.last_logits = score->last_logits;
  auto greedy = continue_greedily(run, std::move(score->last_logits), flags.greedy);
  if (!greedy) return greedy.error();
  evaluation.greedy = std::move(greedy).value();
  return evaluation;
}

Result<Evaluation> score_text(const ScoringRun& run, const Model& model,
                              const std::vector<TokenId>& tokens, uint32_t context) {
  std::vector<TokenId> prefix = model.tokenizer()->prompt_prefix();
  std::optional<TokenId> begin;
  if (!prefix.empty()) begin = prefix.front();
  Result<PerplexityScore> score = score_perplexity(run, tokens, context, begin);
  if (!score) return score.error();
  Evaluation evaluation;
  evaluation.prompt_tokens = tokens.size();
  evaluation.mean_nll = score->mean_nll;
  evaluation.perplexity = score->perplexity;
  return evaluation;
}

void print_report(const EvalFlags& flags, const Evaluation& evaluation,
                  const ExpertCounters& counters, Output& out) {
  if (flags.json) {
    out.json({{"prompt_tokens", evaluation.prompt_tokens},
              {"last_logits", evaluation.last_logits},
              {"greedy", evaluation.greedy},
              {"mean_nll", evaluation.mean_nll},
              {"perplexity", evaluation.perplexity},
              {"workers", counters.workers},
              {"workers_lost", counters.workers_lost},
              {"remote_expert_calls", counters.dispatch.remote_unit_calls}});
    return;
  }
  out.line(fmt::format("tokens      {}", evaluation.prompt_tokens));
  out.line(fmt::format("mean nll    {:.6f}", evaluation.mean_nll));
  out.line(fmt::format("perplexity  {:.4f}", evaluation.perplexity));
  if (evaluation.greedy.empty()) return;
  out.line(fmt::format("greedy      {}", fmt::join(evaluation.greedy, " ")));
}

// The context must hold the tokens to score and those to generate.
Status size_context(const EvalFlags& flags, uint64_t tokens, RuntimeOptions* options) {
  uint64_t needed = tokens + flags.greedy;
  if (options->context == 0 && needed <= limits::kContext) {
    options->context = static_cast<uint32_t>(std::max<uint64_t>(needed, 1));
  }
  if (needed > options->context) {
    return Error{ErrorCode::kLimit,
                 fmt::format("--ctx: {} tokens and {} greedy ones need {} positions, found {}",
                             tokens, flags.greedy, needed, options->context)};
  }
  return {};
}

Status evaluate(const EvalFlags& flags, const Environment& environment) {
  Terminal& terminal = environment.terminal;
  if (!flags.engine.trace.empty() && !flags.activations_file.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--trace: not with --activations"};
  }
  // Scores are compared with those of reference implementations: nothing is rounded unless --kv
  // asks for it.
  auto options = runtime_options(flags.engine, KvType::kF32, environment, &terminal);
  if (!options) return options.error();
  std::vector<TokenId> tokens;
  if (!flags.tokens_file.empty()) {
    auto read = read_token_file(environment.storage, flags.tokens_file);
    if (!read) return read.error();
    tokens = std::move(read).value();
    if (Status sized = size_context(flags, tokens.size(), &*options); !sized) return sized;
  } else if (options->context == 0) {
    options->context = kPerplexityContext;
  }
  // Every position is scored, so the logits of all rows of a step are in memory at once.
  if (options->prefill_chunk == 0) options->prefill_chunk = PrefillChunk::kUsual;
  options->logit_rows = options->prefill_chunk;
  auto runtime = open_runtime(*options, environment, &terminal);
  if (!runtime) return runtime.error();
  const Model& model = (*runtime)->model();
  KvCache cache = (*runtime)->new_cache();
  GenerationContext context = (*runtime)->generation();
  std::unique_ptr<ActivationDump> dump;
  if (!flags.activations_file.empty()) {
    auto opened = ActivationDump::open(environment.storage, flags.activations_file);
    if (!opened) return opened.error();
    dump = std::move(opened).value();
    context.forward.set_observer(dump.get());
  }
  ScoringRun run{
      model.config(),
      context.forward,
      context.executor,
      cache,
      options->prefill_chunk,
      [&terminal](uint64_t done, uint64_t total) { terminal.progress("scoring", done, total); }};
  Result<Evaluation> evaluation = Error{ErrorCode::kInvalidArgument, ""};
  if (!flags.tokens_file.empty()) {
    evaluation = score_file_of_tokens(flags, run, tokens);
  } else {
    auto text = tokenize_file(model, environment.storage, flags.text_file);
    if (!text) return text.error();
    evaluation = score_text(run, model, *text, options->context);
  }
  if (!evaluation) return evaluation.error();
  if (dump != nullptr) {
    context.forward.set_observer(nullptr);
    if (Status written = dump->finish(); !written) return written;
  }
  if (Status traced = (*runtime)->finish_trace(); !traced) return traced;
  terminal.end_progress();
  print_report(flags, *evaluation, (*runtime)->counters(), environment.out);
  return {};
}

}  // namespace

Command add_eval(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* parser = add_command(app, "eval", "score tokens or a text");
  add_engine_flags(parser, &flags->engine);
  CLI::App* source = add_one_of(parser, "source");
  add_text(source, "--tokens", &flags->tokens_file, "a JSON array of token ids, taken as they are");
  add_text(source, "--text", &flags->text_file, "a text: perplexity in windows of --ctx (512)");
  add_whole(parser, "--greedy", &flags->greedy, {0, limits::kContext},
            "tokens to continue with (with --tokens)");
  add_text(parser, "--dump-activations", &flags->activations_file,
           "write a hash of the residual of every layer and position to this file "
           "(scripts/compare-activations)");
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return evaluate(*flags, environment); }};
}

}  // namespace potluck
