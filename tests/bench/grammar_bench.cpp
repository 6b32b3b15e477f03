// Time to find the tokens that a grammar allows: the first time that a state is met, every time
// after, and over a whole answer. The vocabulary is that of the bundled model, or of the model file
// that POTLUCK_VOCABULARY names.
#include <cstdlib>
#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include "engine/base/check.h"
#include "engine/base/storage.h"
#include "engine/chat/answer_grammar.h"
#include "engine/gguf/gguf.h"
#include "engine/grammar/constraint.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

constexpr const char* kSchema = R"({"type": "object", "properties": {
    "name": {"type": "string"}, "short": {"type": "string", "maxLength": 40},
    "age": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["name", "short", "age", "tags"]})";
constexpr const char* kAnswer =
    "{\"name\": \"A fox and a well\", \"short\": \"Once upon a time\", \"age\": 17, \"tags\": "
    "[\"forest\", \"water\", \"night\"]}";

struct Setting {
  Setting() : storage(make_system_storage()) {
    const char* named = std::getenv("POTLUCK_VOCABULARY");
    const std::string path = named != nullptr ? named : test::taleteller_path();
    auto file = GgufModel::open(*storage, path);
    CHECK(file.ok());
    auto made = make_tokenizer(file->metadata());
    CHECK(made.ok());
    tokenizer = std::move(*made);
    trie = std::make_unique<TokenTrie>(*tokenizer, std::span<const std::string>());
    auto schema = parse_json(kSchema);
    CHECK(schema.ok());
    auto compiled = make_answer_grammar(JsonForm{*schema, false}, {});
    CHECK(compiled.ok());
    grammar = *compiled;
    auto encoded = tokenizer->encode(kAnswer, SpecialTokens::kAsText);
    CHECK(encoded.ok());
    answer = *encoded;
  }

  std::unique_ptr<Storage> storage;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<TokenTrie> trie;
  std::shared_ptr<const Grammar> grammar;
  std::vector<TokenId> answer;
};

const Setting& setting() {
  static const Setting kSetting;
  return kSetting;
}

Constraint inside_string(const std::shared_ptr<TokenMasks>& masks) {
  Constraint constraint(masks, 0);
  for (const char* text : {"{\"", "name", "\":", " ", "\"", "A"}) {
    const auto tokens = setting().tokenizer->encode(text, SpecialTokens::kAsText);
    CHECK(tokens.ok());
    for (const TokenId token : *tokens) (void)constraint.accept(token);
  }
  return constraint;
}

void first_mask_in_a_string(benchmark::State& state) {
  setting();  // takes longer than what is measured
  for (auto _ : state) {
    auto masks = std::make_shared<TokenMasks>(setting().grammar, *setting().trie);
    benchmark::DoNotOptimize(inside_string(masks).allowed());
  }
  state.counters["tokens"] = setting().trie->vocabulary_size();
}

void known_mask_in_a_string(benchmark::State& state) {
  auto masks = std::make_shared<TokenMasks>(setting().grammar, *setting().trie);
  const Constraint constraint = inside_string(masks);
  for (auto _ : state) benchmark::DoNotOptimize(constraint.allowed());
}

// For each of its tokens: what is allowed, and one step on. `known`: a request like it came before.
void whole_answer(benchmark::State& state, bool known) {
  auto masks = std::make_shared<TokenMasks>(setting().grammar, *setting().trie);
  for (auto _ : state) {
    if (!known) masks = std::make_shared<TokenMasks>(setting().grammar, *setting().trie);
    Constraint constraint(masks, 0);
    for (const TokenId token : setting().answer) {
      benchmark::DoNotOptimize(constraint.allowed());
      (void)constraint.accept(token);
    }
  }
  state.counters["per_token"] = benchmark::Counter(
      static_cast<double>(setting().answer.size()),
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void compile(benchmark::State& state) {
  auto schema = parse_json(kSchema);
  for (auto _ : state) {
    benchmark::DoNotOptimize(make_answer_grammar(JsonForm{*schema, false}, {}));
  }
}

void tree_of_tokens(benchmark::State& state) {
  for (auto _ : state) {
    TokenTrie trie(*setting().tokenizer, std::span<const std::string>());
    benchmark::DoNotOptimize(trie.size());
  }
}

BENCHMARK(first_mask_in_a_string)->Unit(benchmark::kMicrosecond);
BENCHMARK(known_mask_in_a_string)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(whole_answer, new_grammar, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(whole_answer, known_grammar, true)->Unit(benchmark::kMicrosecond);
BENCHMARK(compile)->Unit(benchmark::kMicrosecond);
BENCHMARK(tree_of_tokens)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace potluck

BENCHMARK_MAIN();
