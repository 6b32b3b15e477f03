// How fast weights stream through the kernels. "read" is what plain reading of memory gives in the
// same run; "matvec" is one token, as in decoding, over a matrix larger than the cache (GB/s of
// weights, as stored in panels); "matmul" is many tokens, as in prefill (GMAC/s); "chunk" is one of
// a down-projection; "attention" is some query heads of one KV head over a full chunk of positions
// (GB/s of keys and values, from the cache; GMAC/s).
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "engine/base/buffer.h"
#include "engine/base/random.h"
#include "engine/kernels/kernels.h"
#include "tests/bench/random_activations.h"

namespace potluck {
namespace {

using benchmark::Counter;

constexpr uint64_t kLargeMatrix = 64 * kMiB;

void set_rate(benchmark::State& state, const char* name, double per_iteration) {
  auto iterations = static_cast<double>(state.iterations());
  state.counters[name] = Counter(per_iteration * iterations * 1e-9, Counter::kIsRate);
}

void read_memory(benchmark::State& state) {
  typedef uint64_t Vector __attribute__((vector_size(32)));
  Buffer buffer(kLargeMatrix);
  auto words = buffer.as<Vector>();
  for (auto _ : state) {
    Vector a{}, b{}, c{}, d{};
    for (size_t i = 0; i + 4 <= words.size(); i += 4) {
      a ^= words[i];
      b ^= words[i + 1];
      c ^= words[i + 2];
      d ^= words[i + 3];
    }
    a ^= b ^ c ^ d;
    benchmark::DoNotOptimize(a);
  }
  set_rate(state, "GB/s", static_cast<double>(buffer.size()));
}

// Random weights in panel layout: floats in [-0.5, 0.5); for other formats any bytes are legal, and
// clearing two bits of every half keeps scales finite. MXFP4's exponents are a byte each: bytes
// between 64 and 127 keep them from subnormal products, which
// processors may multiply slowly.
Buffer random_panels(const PanelShape& shape) {
  Buffer buffer(shape.bytes());
  CounterRandom random(1);
  auto uniform = [&](size_t i) { return static_cast<float>(random.uniform(i)) - 0.5F; };
  auto halves = buffer.as<uint16_t>();
  switch (shape.type) {
    case TensorType::kF32:
      for (size_t i = 0; float& value : buffer.as<float>()) value = uniform(i++);
      break;
    case TensorType::kBF16:
      for (size_t i = 0; uint16_t & value : halves) {
        value = static_cast<uint16_t>(std::bit_cast<uint32_t>(uniform(i++)) >> 16);
      }
      break;
    case TensorType::kMXFP4:
      for (size_t i = 0; uint16_t & value : halves) value = (random.bits(i++) & 0x3f3f) | 0x4040;
      break;
    default:
      for (size_t i = 0; uint16_t & value : halves) value = random.bits(i++) & 0x3fff;
  }
  return buffer;
}

void multiply(benchmark::State& state, const KernelTable& kernels, const PanelShape& shape,
              ActivationForm form, uint32_t tokens) {
  Buffer weights = random_panels(shape);
  ActivationBuffer x = random_activations(kernels, form, tokens, shape.columns);
  std::vector<float> y(uint64_t{tokens} * shape.rows);
  for (auto _ : state) {
    kernels.matmul({shape, weights.data()}, x.view(), nullptr, tokens, 0, shape.panels(), y.data(),
                   shape.rows);
    benchmark::DoNotOptimize(y.data());
  }
  set_rate(state, "GB/s", static_cast<double>(shape.bytes()));
  set_rate(state, "GMAC/s", static_cast<double>(shape.rows) * shape.columns * tokens);
}

void attend(benchmark::State& state, const KernelTable& kernels, KvType type, uint32_t head_dim,
            uint32_t value_dim, uint32_t heads) {
  Buffer keys(kAttentionChunk * kv_bytes(type, head_dim));
  Buffer values(kAttentionChunk * kv_bytes(type, value_dim));
  std::vector<float> query(uint64_t{heads} * head_dim, 0.5F);
  std::vector<float> scratch(kAttentionScratch);
  std::vector<float> out(uint64_t{heads} * value_dim);
  std::vector<AttentionPartial> partials(heads);
  std::vector<AttentionQuery> queries;
  for (uint32_t h = 0; h < heads; ++h) {
    queries.push_back({query.data() + h * head_dim, 0, kAttentionChunk, out.data() + h * value_dim,
                       &partials[h]});
  }
  AttentionChunk chunk{type, head_dim, value_dim, keys.data(), values.data(), 0.1F};
  for (auto _ : state) {
    kernels.attention_chunk(chunk, queries, scratch.data());
    benchmark::DoNotOptimize(out.data());
  }
  set_rate(state, "GB/s", static_cast<double>(keys.size() + values.size()));
  set_rate(state, "GMAC/s", static_cast<double>(kAttentionChunk) * (head_dim + value_dim) * heads);
}

void register_attention(const KernelTable* table) {
  struct Shape {
    uint32_t head_dim, value_dim, heads;
  };
  const std::pair<const char*, KvType> types[] = {
      {"F32", KvType::kF32}, {"F16", KvType::kF16}, {"Q8_0", KvType::kQ8_0}};
  for (auto [name, type] : types) {
    for (Shape s : {Shape{64, 64, 1}, {64, 64, 4}, {128, 128, 1}, {128, 128, 8}, {576, 512, 16}}) {
      benchmark::RegisterBenchmark(
          fmt::format("attention/{}/{}/{}/{}", name, s.head_dim, s.heads, table->name).c_str(),
          [=, type = type](benchmark::State& state) {
            attend(state, *table, type, s.head_dim, s.value_dim, s.heads);
          });
    }
  }
}

// One function over rows of 2048 floats.
template <class Function>
void row_function(benchmark::State& state, const Function& function) {
  std::vector<float> a(2048, 0.5F);
  std::vector<float> b(2048, 1.5F);
  for (auto _ : state) {
    function(a.data(), b.data(), static_cast<uint32_t>(a.size()));
    benchmark::DoNotOptimize(a.data());
  }
  set_rate(state, "Gvalues/s", static_cast<double>(a.size()));
}

void register_rows(const KernelTable* table) {
  auto add = [&](const char* name, auto function) {
    benchmark::RegisterBenchmark(fmt::format("{}/{}", name, table->name).c_str(),
                                 [=](benchmark::State& state) { row_function(state, function); });
  };
  add("quantize256", [=](float* a, float*, uint32_t count) {
    int8_t quants[2048];
    float scales[8];
    int16_t sums[128];
    table->quantize(a, count, 256, quants, scales, sums);
    benchmark::DoNotOptimize(quants);
  });
  add("rms_norm",
      [=](float* a, float* b, uint32_t count) { table->rms_norm(a, b, count, 1e-6F, b); });
  add("swiglu", [=](float* a, float* b, uint32_t count) { table->swiglu(a, b, count, b); });
  add("accumulate", [=](float* a, float*, uint32_t count) {
    int64_t sums[2048] = {};
    benchmark::DoNotOptimize(table->accumulate(a, count, 0.5F, 20, sums));
    benchmark::DoNotOptimize(sums);
  });
}

void register_products(const KernelTable* table) {
  for (const BlockFormat& format : block_formats()) {
    // As wide as models are, and as the chunks of their down-projections.
    for (uint32_t columns : {64u, 128u, 1024u, 2048u, 4096u}) {
      PanelShape shape{format.type, kPanelRows, columns, 0};
      shape.rows = static_cast<uint32_t>(kLargeMatrix / shape.panel_bytes() * kPanelRows);
      benchmark::RegisterBenchmark(
          fmt::format("matvec/{}/{}/{}", format.name, columns, table->name).c_str(),
          [=](benchmark::State& state) { multiply(state, *table, shape, format.activations, 1); });
    }
    // A chunk of a down-projection: many rows, few columns, activations in blocks of 32.
    for (uint32_t tokens : {1u, 8u}) {
      PanelShape chunk{format.type, 2048, 96, format.block_elements == 256 ? 192u : 0u};
      ActivationForm form = format.quantized() ? ActivationForm::kQ8Block32 : ActivationForm::kF32;
      benchmark::RegisterBenchmark(
          fmt::format("chunk/{}/{}/{}", format.name, tokens, table->name).c_str(),
          [=](benchmark::State& state) { multiply(state, *table, chunk, form, tokens); });
    }
    for (uint32_t tokens : {2u, 4u, 8u, 32u, 128u}) {
      PanelShape block{format.type, 768, 2048, 0};
      benchmark::RegisterBenchmark(
          fmt::format("matmul/{}/{}/{}", format.name, tokens, table->name).c_str(),
          [=](benchmark::State& state) {
            multiply(state, *table, block, format.activations, tokens);
          });
    }
  }
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  benchmark::RegisterBenchmark("read", potluck::read_memory);
  for (const potluck::KernelTable* table : potluck::available_kernels()) {
    potluck::register_products(table);
    potluck::register_rows(table);
    potluck::register_attention(table);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
