// Time to choose one token from a vocabulary of 151,936, with logits as a trained model's: a few
// likely tokens far above a broad rest.
#include <cmath>
#include <vector>

#include <benchmark/benchmark.h>

#include "engine/base/random.h"
#include "engine/model/sampler.h"

namespace potluck {
namespace {

constexpr size_t kVocabulary = 151'936;

std::vector<float> trained_logits() {
  CounterRandom random(1);
  std::vector<float> logits(kVocabulary);
  for (size_t i = 0; i < logits.size(); ++i) {
    // The sum of uniforms is close to a normal distribution of deviation 2.5.
    double sum = 0;
    for (uint64_t j = 0; j < 12; ++j) sum += random.uniform(i, j);
    logits[i] = static_cast<float>(2.5 * (sum - 6));
  }
  for (size_t i = 0; i < 20; ++i) logits[i * 7001] = static_cast<float>(18 - i);
  return logits;
}

void measure(benchmark::State& state, const SamplingSettings& settings) {
  std::vector<float> logits = trained_logits();
  std::vector<TokenId> history(64, 17);
  uint64_t position = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(sample(logits, history, position++, settings));
  }
}

SamplingSettings greedy() {
  SamplingSettings settings;
  settings.temperature = 0;
  return settings;
}
SamplingSettings usual() {
  return {};
}
SamplingSettings flat() {
  SamplingSettings settings;
  settings.temperature = 5;
  return settings;
}
SamplingSettings everything() {
  SamplingSettings settings;
  settings.top_k = 40;
  settings.min_p = 0.05;
  settings.repeat_penalty = 1.1;
  return settings;
}

BENCHMARK_CAPTURE(measure, greedy, greedy());
BENCHMARK_CAPTURE(measure, usual, usual());
BENCHMARK_CAPTURE(measure, flat, flat());
BENCHMARK_CAPTURE(measure, everything, everything());

}  // namespace
}  // namespace potluck

BENCHMARK_MAIN();
