// Tokens per second of a whole model in one process: decoding after a prompt, and prompts of 128
// and 512 tokens, with 1 and 2 threads. The model is the first argument, or POTLUCK_BENCH_MODEL,
// or the bundled taleteller.
#include <cstdlib>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "engine/model/step_run.h"
#include "tests/support/solo_engine.h"
#include "tests/support/test_files.h"

namespace potluck::test {
namespace {

constexpr uint32_t kContext = 1024;
constexpr uint32_t kDecodeDepth = 64;  // tokens in the cache before the first that is measured

void step(SoloEngine& engine, std::span<const ForwardRow> rows) {
  Status done = run_step(engine.forward(), rows, engine.executor());
  CHECK(done.ok());
}

void prefill(SoloEngine& engine, KvCache& cache, uint32_t count) {
  std::vector<ForwardRow> rows;
  for (uint32_t p = 0; p < count; ++p) {
    auto token = static_cast<TokenId>((p * 7919u + 13) % engine.config().vocabulary);
    rows.push_back({token, p, &cache, p + 1 == count});
  }
  cache.set_length(0);
  step(engine, rows);
}

void measure_prefill(benchmark::State& state, const std::string& path) {
  SoloEngine engine(path, {"", static_cast<int>(state.range(0)), true});
  KvCache cache(engine.config(), KvType::kF16, kContext);
  auto count = static_cast<uint32_t>(state.range(1));
  prefill(engine, cache, count);
  for (auto _ : state) prefill(engine, cache, count);
  state.counters["tok/s"] = benchmark::Counter(static_cast<double>(state.iterations() * count),
                                               benchmark::Counter::kIsRate);
}

void measure_decode(benchmark::State& state, const std::string& path) {
  SoloEngine engine(path, {"", static_cast<int>(state.range(0)), true});
  KvCache cache(engine.config(), KvType::kF16, kContext);
  prefill(engine, cache, kDecodeDepth);
  for (auto _ : state) {
    if (cache.length() == cache.capacity()) cache.set_length(kDecodeDepth);
    TokenId token = static_cast<TokenId>((cache.length() * 31u) % engine.config().vocabulary);
    const ForwardRow row{token, cache.length(), &cache, true};
    step(engine, {&row, 1});
  }
  state.counters["tok/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

std::string model_path(int argc, char** argv) {
  if (argc > 1) return argv[1];
  const char* named = std::getenv("POTLUCK_BENCH_MODEL");
  return named != nullptr ? named : test::taleteller_path();
}

void register_all(const std::string& path) {
  for (int threads : {1, 2}) {
    benchmark::RegisterBenchmark("decode/threads", measure_decode, path)
        ->Arg(threads)
        ->UseRealTime();
    for (int tokens : {128, 512}) {
      benchmark::RegisterBenchmark("prefill/threads/tokens", measure_prefill, path)
          ->Args({threads, tokens})
          ->UseRealTime();
    }
  }
}

}  // namespace
}  // namespace potluck::test

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  potluck::test::register_all(potluck::test::model_path(argc, argv));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
