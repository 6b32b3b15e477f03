// Time of one MoE layer's experts: one token (decode) and many (prefill), all grains in memory, on
// the shapes of published models. Weights are made up: every byte lies in [0x20, 0x2f], which makes
// half-precision scales small positive numbers in all formats.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "engine/base/random.h"
#include "engine/experts/expert_compute.h"

namespace potluck {
namespace {

struct BenchShape {
  const char* name;
  ExpertShape shape;
  uint32_t experts;
  uint32_t top_k;
};

using T = TensorType;

const BenchShape kShapes[] = {
    {"storyteller_Q4_K", {512, 256, T::kQ4_K, T::kQ4_K, T::kQ4_K, false, {}}, 24, 4},
    {"storyteller_Q8_0", {512, 256, T::kQ8_0, T::kQ8_0, T::kQ8_0, false, {}}, 24, 4},
    {"30B-A3B_Q4_K", {2048, 768, T::kQ4_K, T::kQ4_K, T::kQ6_K, false, {}}, 128, 8},
    {"30B-A3B_Q8_0", {2048, 768, T::kQ8_0, T::kQ8_0, T::kQ8_0, false, {}}, 128, 8},
};

class SyntheticSource final : public ImmediateSource {
 public:
  SyntheticSource(const ExpertShape& shape, uint32_t experts) {
    ChunkPlan plan = plan_chunks(shape);
    offsets_.push_back(0);
    for (uint32_t grain = 0; grain < plan.grains; ++grain) {
      offsets_.push_back(offsets_.back() + grain_layout(shape, plan, grain).bytes);
    }
    grains_ = Buffer(experts * offsets_.back());
    CounterRandom random(1);
    auto words = grains_.as<uint64_t>();
    for (size_t i = 0; i < words.size(); ++i) {
      words[i] = (random.bits(i) & 0x0f0f0f0f0f0f0f0fu) | 0x2020202020202020u;
    }
  }
  Result<GrainView> fetch(GrainId id) override {
    uint64_t begin = offsets_[id.grain];
    uint64_t bytes = offsets_[id.grain + size_t{1}] - begin;
    return GrainView{grains_.span().subspan(id.expert * offsets_.back() + begin, bytes), nullptr};
  }
  uint64_t expert_bytes() const { return offsets_.back(); }

 private:
  Buffer grains_;
  std::vector<uint64_t> offsets_;
};

ActivationBuffer make_input(const ExpertShape& shape, uint32_t tokens) {
  ActivationBuffer input;
  input.reset(shape.input_form(), tokens, shape.hidden);
  for (size_t i = 0; i < input.quants().size(); ++i) {
    input.quants()[i] = static_cast<int8_t>(mix64(i) % 255 - 127);
  }
  for (float& scale : input.scales()) scale = 0.01F;
  for (float& value : input.values()) value = 0.5F;
  input.compute_sums();
  return input;
}

std::vector<ExpertCall> make_calls(const BenchShape& bench, uint32_t tokens, uint64_t seed) {
  CounterRandom random(seed);
  GrainRange all{0, plan_chunks(bench.shape).grains};
  std::vector<ExpertCall> calls;
  for (uint32_t t = 0; t < tokens; ++t) {
    auto first = static_cast<uint32_t>(random.bits(t));
    for (uint32_t k = 0; k < bench.top_k; ++k) {
      calls.push_back({t, (first + 5 * k) % bench.experts, all, 0.125F});
    }
  }
  return calls;
}

void measure(benchmark::State& state, const BenchShape& bench) {
  auto tokens = static_cast<uint32_t>(state.range(0));
  ThreadPool pool(static_cast<int>(state.range(1)));
  ExpertCompute compute(*select_kernels("").value(), pool);
  SyntheticSource source(bench.shape, bench.experts);
  ActivationBuffer input = make_input(bench.shape, tokens);
  std::vector<int32_t> fraction_bits(tokens, 20);
  ExpertSums sums;
  uint64_t seed = 0;
  for (auto _ : state) {
    std::vector<ExpertCall> calls = make_calls(bench, tokens, ++seed);
    sums.reset(tokens, bench.shape.hidden);
    CHECK(compute.run(0, bench.shape, input.view(), fraction_bits, calls, source, &sums).ok());
  }
  auto work = static_cast<double>(state.iterations()) * tokens * bench.top_k;
  state.counters["expert_bytes/s"] =
      benchmark::Counter(work * static_cast<double>(source.expert_bytes()),
                         benchmark::Counter::kIsRate, benchmark::Counter::kIs1024);
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  for (const potluck::BenchShape& bench : potluck::kShapes) {
    benchmark::RegisterBenchmark(bench.name,
                                 [&bench](benchmark::State& s) { potluck::measure(s, bench); })
        ->ArgNames({"tokens", "threads"})
        ->ArgsProduct({{1, 512}, {1, 2}})
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
