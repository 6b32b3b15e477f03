// `potluck bench`: how fast this model runs here, loading excluded.
#include <nlohmann/json.hpp>

#include <fmt/format.h>
#include <sys/resource.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/counters_json.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/speculation_bench.h"
#include "coordinator/serving/generator.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

// Twice as many, the largest depth and what follows it, still fit a context.
constexpr uint32_t kMostTokens = limits::kContext / 2 - 1;

struct BenchFlags {
  EngineFlags engine;
  uint32_t prompt = 128;
  uint32_t generate = 64;
  uint32_t depth = 0;
  bool json = false;
};

// The largest this process has been, loading included. Linux counts it in KiB (getrusage(2)).
uint64_t resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * kKiB;
}

// Any tokens do: the speed does not depend on what they say.
std::vector<TokenId> some_tokens(uint32_t count, uint32_t vocabulary) {
  CounterRandom random(1);
  std::vector<TokenId> tokens(count);
  for (uint32_t i = 0; i < count; ++i) {
    tokens[i] = static_cast<TokenId>(random.bits(i) % vocabulary);
  }
  return tokens;
}

// One token a step, its logits computed, as generation does.
Status decode(const GenerationContext& context, std::span<const TokenId> tokens, KvCache* cache) {
  for (TokenId token : tokens) {
    Status status = prefill(context, {&token, 1}, 1, cache);
    if (!status) return status;
  }
  return {};
}

double rate(double amount, double time) {
  return time > 0 ? amount / time : 0;
}

struct Measured {
  double prefill_seconds = 0;
  double decode_seconds = 0;
  uint32_t prefill_chunk = 0;
  ExpertCounters prefill;
  ExpertCounters decode;
};

Result<Measured> measure(const BenchFlags& flags, Runtime& runtime, const Clock& clock) {
  GenerationContext context = runtime.generation();
  uint32_t vocabulary = runtime.model().config().vocabulary;
  Measured measured;
  // Memory is touched for the first time in the first step and in the cache of experts, and that is
  // measured nowhere.
  runtime.wait_for_memory();
  std::vector<TokenId> warm_up = some_tokens(2, vocabulary);
  KvCache cache = runtime.new_cache();
  Status status = prefill(context, warm_up, 1, &cache);
  if (!status) return status.error();

  cache.set_length(0);
  std::vector<TokenId> tokens = some_tokens(flags.depth + flags.generate, vocabulary);
  const uint32_t chunk = runtime.prefill_chunk().rows(runtime.executor().uses_disks());
  status = prefill(context, std::span(tokens).first(flags.depth), chunk, &cache);
  if (!status) return status.error();
  // Decode begins at the same depth as prefill, and a recurrent state goes back to a checkpoint
  // only.
  cache.checkpoint();
  if (flags.prompt > 0) {
    ExpertCounters before = runtime.counters();
    TimePoint start = clock.now();
    status = prefill(context, some_tokens(flags.prompt, vocabulary), chunk, &cache);
    if (!status) return status.error();
    measured.prefill_seconds = in_seconds(clock.now() - start);
    measured.prefill_chunk = chunk;
    measured.prefill = runtime.counters() - before;
  }

  CHECK(cache.rewind(flags.depth) == flags.depth);
  ExpertCounters before = runtime.counters();
  TimePoint start = clock.now();
  status = decode(context, std::span(tokens).last(flags.generate), &cache);
  if (!status) return status.error();
  measured.decode_seconds = in_seconds(clock.now() - start);
  measured.decode = runtime.counters() - before;
  return measured;
}

// Where the time of one MoE layer goes during decode, in microseconds: total = dispatch + wait; the
// slowest worker's computing and the gathering of replies are parts of the wait.
nlohmann::json layer_report(const ExpertCounters& decode) {
  const LayerTimes& layers = decode.layers;
  if (layers.batches == 0) return nullptr;
  auto per_batch = [&layers](uint64_t nanoseconds) {
    return static_cast<double>(nanoseconds) / 1000 / static_cast<double>(layers.batches);
  };
  double dispatch = per_batch(layers.dispatch);
  double wait = per_batch(layers.wait);
  return {{"total_us", dispatch + wait},
          {"dispatch_us", dispatch},
          {"wait_us", wait},
          {"compute_us", per_batch(decode.dispatch.slowest_compute)},
          {"gather_us", per_batch(decode.dispatch.gather)}};
}

// What reading ahead of time was worth during decode: the share of would-be misses that it had on
// the way or in memory, and what was read for nothing.
void add_prefetch_report(const WorkCounters& work, double tokens, nlohmann::json* report) {
  auto used = static_cast<double>(work.prefetches_used);
  auto wasted = static_cast<double>(work.prefetches_wasted);
  auto misses = static_cast<double>(work.cache_misses);
  auto bytes = static_cast<double>(work.prefetched_bytes);
  (*report)["prefetch_recall"] = rate(used, used + misses);
  (*report)["prefetched_bytes_wasted_per_token"] =
      rate(bytes * rate(wasted, used + wasted), tokens);
}

nlohmann::json report(const BenchFlags& flags, const Measured& measured, uint64_t resident) {
  const ExpertCounters& decode = measured.decode;
  const WorkCounters& work = decode.dispatch.work;
  auto tokens = static_cast<double>(flags.generate);
  auto hits = static_cast<double>(work.cache_hits);
  double lookups = hits + static_cast<double>(work.cache_misses);
  auto disk = static_cast<double>(work.disk_bytes);
  nlohmann::json report = {
      {"prefill_tokens_per_s", rate(flags.prompt, measured.prefill_seconds)},
      {"decode_tokens_per_s", rate(tokens, measured.decode_seconds)},
      {"prompt_tokens", flags.prompt},
      {"generated_tokens", flags.generate},
      {"depth", flags.depth},
      {"round_trips_per_token", rate(static_cast<double>(decode.dispatch.batches), tokens)},
      {"wire_bytes_per_token", rate(static_cast<double>(decode.wire_bytes), tokens)},
      {"disk_bytes_per_token", rate(disk, tokens)},
      {"disk_bytes_per_s", rate(disk, measured.decode_seconds)},
      {"cache_hit_rate", lookups > 0 ? hits / lookups : 1.0},
      {"resident_bytes", resident},
      {"workers", decode.workers},
      {"layer", layer_report(decode)},
      {"counters", json_of(decode)},
      {"prefill_chunk", measured.prefill_chunk},
      {"prefill_counters", json_of(measured.prefill)}};
  add_prefetch_report(work, tokens, &report);
  double reading = static_cast<double>(decode.disk_reading) / 1e9;
  if (reading > 0) report["disk_bytes_per_s_reading"] = disk / reading;
  return report;
}

Status bench(const BenchFlags& flags, const Environment& environment) {
  Terminal& terminal = environment.terminal;
  auto options = runtime_options(flags.engine, KvType::kF16, environment, &terminal);
  if (!options) return options.error();
  options->context =
      std::max(options->context, flags.depth + std::max(flags.prompt, flags.generate) + 1);
  const bool speculates = options->speculation != SpeculationRule::kOff;
  if (speculates) {
    options->context = std::max(options->context, kSpeculationPrompt + flags.generate + 1);
  }
  auto runtime = open_runtime(*options, environment, &terminal);
  if (!runtime) return runtime.error();
  auto measured = measure(flags, **runtime, environment.clock);
  if (!measured) return measured.error();
  nlohmann::json result = report(flags, *measured, resident_bytes());
  if (speculates) {
    auto speculation = measure_speculation(**runtime, flags.generate);
    if (!speculation) return speculation.error();
    result["speculation"] = std::move(*speculation);
  }
  if (Status traced = (*runtime)->finish_trace(); !traced) return traced;
  result["simulated"] = describe_simulation(*device_options(flags.engine.device));
  if (flags.json) {
    environment.out.json(result);
    return {};
  }
  for (const auto& [key, value] : result.items()) {
    environment.out.line(fmt::format("{:<24} {}", key, json_text(value)));
  }
  return {};
}

}  // namespace

Command add_bench(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* parser = add_command(app, "bench", "measure speed");
  add_engine_flags(parser, &flags->engine);
  add_whole(parser, "--prompt", &flags->prompt, {0, kMostTokens},
            "tokens of prefill (default 128)");
  add_whole(parser, "--generate", &flags->generate, {1, kMostTokens},
            "tokens of decode (default 64)");
  add_whole(parser, "--depth", &flags->depth, {0, kMostTokens},
            "tokens in the context before either (default 0)");
  add_choice(parser, "--speculate", &flags->engine.speculate, {"off", "auto", "lookup"},
             "measure answers with speculation against the same without, as well (default off)");
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return bench(*flags, environment); }};
}

}  // namespace potluck
