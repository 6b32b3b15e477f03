// How fast text becomes tokens, in bytes per second on one thread: prose under each vocabulary at
// hand, and one long word, which shows that merging does not grow with the square of its length.
// POTLUCK_BENCH_TEXT names another text than the one that is built in.
#include <cstdlib>
#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include "engine/base/storage.h"
#include "engine/gguf/gguf.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

constexpr size_t kTextBytes = 4 * kMiB;

std::unique_ptr<Tokenizer> load(const std::string& name) {
  auto storage = make_system_storage();
  const std::string path = test::data_path("tokenizer/") + name + ".gguf";
  const auto model = GgufModel::open(*storage, path);
  if (!model) return nullptr;
  auto tokenizer = make_tokenizer(model->metadata());
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

std::string prose() {
  std::string paragraph =
      "The road bent twice before it came down to the river, and on the second bend there was a "
      "house that nobody had finished. \"You'll want to stop here,\" said the driver; it wasn't a "
      "question. In 1893, or so I was told, 27 families had lived between the bridge and the mill, "
      "and their names -- Ekén, O'Hara, Smíšek -- stood on every gate.\n\n";
  const char* path = std::getenv("POTLUCK_BENCH_TEXT");
  if (path != nullptr) {
    auto bytes = read_file(*make_system_storage(), path, 64 * kMiB);
    if (bytes && !bytes->empty()) paragraph = as_text(*bytes);
  }
  std::string text;
  while (text.size() < kTextBytes) text += paragraph;
  return text;
}

void encode(benchmark::State& state, const std::string& vocabulary, const std::string& text) {
  const auto tokenizer = load(vocabulary);
  if (tokenizer == nullptr) return state.SkipWithError("cannot load the vocabulary");
  size_t count = 0;
  for (auto _ : state) {
    const auto tokens = tokenizer->encode(text, SpecialTokens::kAsText);
    if (!tokens) return state.SkipWithError(tokens.error().message.c_str());
    count = tokens->size();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
  state.counters["bytes_per_token"] = static_cast<double>(text.size()) / static_cast<double>(count);
}

void decode(benchmark::State& state) {
  const auto tokenizer = load("qwen2");
  if (tokenizer == nullptr) return state.SkipWithError("cannot load the vocabulary");
  const std::string text = prose();
  const auto tokens = tokenizer->encode(text, SpecialTokens::kAsText);
  if (!tokens) return state.SkipWithError(tokens.error().message.c_str());
  for (auto _ : state) {
    StreamingDecoder decoder(*tokenizer);
    for (TokenId token : *tokens) benchmark::DoNotOptimize(decoder.push(token));
    benchmark::DoNotOptimize(decoder.finish());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
}

void register_all() {
  for (const std::string name :
       {"qwen2", "qwen35", "llama-bpe", "gpt-4o", "deepseek-v3", "gpt-2", "spm"}) {
    benchmark::RegisterBenchmark(("prose/" + name).c_str(), [name](benchmark::State& state) {
      encode(state, name, prose());
    })->Unit(benchmark::kMillisecond);
  }
  for (const std::string name : {"qwen2", "spm"}) {
    for (const size_t bytes : {4 * kKiB, 64 * kKiB, 1 * kMiB}) {
      benchmark::RegisterBenchmark(
          ("one_word/" + name + "/" + std::to_string(bytes)).c_str(),
          [name, bytes](benchmark::State& state) { encode(state, name, std::string(bytes, 'e')); })
          ->Unit(benchmark::kMillisecond);
    }
  }
  benchmark::RegisterBenchmark("stream_decode", decode)->Unit(benchmark::kMillisecond);
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  potluck::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
