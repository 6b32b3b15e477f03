#include "coordinator/cli/speculation_bench.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "coordinator/plan/median.h"
#include "coordinator/serving/engine_setup.h"
#include "coordinator/serving/generator.h"
#include "engine/base/random.h"

namespace potluck {
namespace {

constexpr uint32_t kPairs = 7;
constexpr uint32_t kPeriod = 48;  // tokens, of text that repeats itself

struct TextKind {
  const char* name;
  uint32_t period;
  double temperature;
};
constexpr TextKind kRepeating = {"repeating", kPeriod, 0};
constexpr TextKind kOther = {"other", kSpeculationPrompt, 1};

std::vector<TokenId> prompt_of(const TextKind& kind, uint32_t vocabulary) {
  std::vector<TokenId> tokens(kSpeculationPrompt);
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<TokenId>(CounterRandom(1).bits(i % kind.period) % vocabulary);
  }
  return tokens;
}

std::unique_ptr<CompletionEngine> engine_for(Runtime& runtime, SpeculationRule rule) {
  EngineOptions options;
  options.speculation = rule;
  return make_engine(runtime, nullptr, std::move(options));
}

// Tokens a second of one answer.
Result<double> answer_speed(CompletionEngine& engine, const TextKind& kind,
                            const std::vector<TokenId>& prompt, uint32_t tokens, uint64_t seed) {
  GenerationRequest request;
  request.max_tokens = tokens;
  request.sampling.temperature = kind.temperature;
  request.sampling.top_p = 1;
  request.sampling.seed = seed;
  request.ignore_end = true;
  auto answer = generate(engine, prompt, request, [](const AnswerPiece&) { return true; });
  if (!answer) return answer.error();
  return answer->result.decode_steps / std::max(1e-9, in_seconds(answer->result.decode_time));
}

Result<nlohmann::json> measure_kind(Runtime& runtime, const TextKind& kind, uint32_t tokens) {
  auto plain = engine_for(runtime, SpeculationRule::kOff);
  auto drafting = engine_for(runtime, runtime.speculation());
  const std::vector<TokenId> prompt = prompt_of(kind, runtime.model().config().vocabulary);
  std::vector<double> without;
  std::vector<double> with;
  std::vector<double> ratios;
  for (uint32_t pair = 0; pair < kPairs; ++pair) {
    // Each comes first as often as the other, but for once.
    const bool plain_first = pair % 2 == 0;
    double speeds[2];
    for (int i = 0; i < 2; ++i) {
      const bool is_plain = (i == 0) == plain_first;
      auto one = answer_speed(is_plain ? *plain : *drafting, kind, prompt, tokens, pair);
      if (!one) return one.error();
      speeds[is_plain ? 0 : 1] = *one;
    }
    without.push_back(speeds[0]);
    with.push_back(speeds[1]);
    ratios.push_back(speeds[1] / speeds[0]);
  }
  const ServiceFigures figures = drafting->figures();
  return nlohmann::json{{"tokens_per_s", median(with)},
                        {"tokens_per_s_without", median(without)},
                        {"ratio", median(ratios)},
                        {"ratio_least", *std::min_element(ratios.begin(), ratios.end())},
                        {"ratio_most", *std::max_element(ratios.begin(), ratios.end())},
                        {"drafted_tokens", figures.drafted_tokens},
                        {"accepted_tokens", figures.accepted_tokens}};
}

}  // namespace

Result<nlohmann::json> measure_speculation(Runtime& runtime, uint32_t tokens) {
  nlohmann::json report;
  for (const TextKind& kind : {kRepeating, kOther}) {
    auto measured = measure_kind(runtime, kind, tokens);
    if (!measured) return measured.error();
    report[kind.name] = std::move(*measured);
  }
  return report;
}

}  // namespace potluck
