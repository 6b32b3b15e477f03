// A model, what it says alone, and engines for it. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/serving/completion_engine.h"
#include "engine/base/memory_storage.h"
#include "engine/base/random.h"
#include "tests/support/reluctant_executor.h"
#include "tests/support/solo_engine.h"
#include "tests/support/test_files.h"
#include "tests/unit/coordinator/serving/recorded_answer.h"

namespace potluck::test {

inline constexpr const char* kTemplate =
    "{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ '\\n' }}{% endfor %}assistant: ";

class EngineRig {
 public:
  explicit EngineRig(const std::string& name)
      : engine_(data_path("arch/" + name + "/model.gguf"), {}),
        reluctant_(engine_.executor()),
        second_(engine_.new_forward()),
        template_(std::move(*ChatTemplate::parse(kTemplate))) {}

  // With answers that come late, and in another order, if two steps are under way.
  std::unique_ptr<CompletionEngine> make(const EngineOptions& options, bool two_steps = false) {
    forwards_ = {&engine_.forward()};
    if (two_steps) forwards_.push_back(second_.get());
    ExpertExecutor& executor =
        two_steps ? static_cast<ExpertExecutor&>(reluctant_) : engine_.executor();
    EngineParts parts{engine_.model(), forwards_, executor, clock_, &template_};
    return std::make_unique<CompletionEngine>(parts, options);
  }

  std::vector<TokenId> prompt(uint64_t seed, uint32_t length) const {
    CounterRandom random(seed);
    std::vector<TokenId> tokens;
    for (uint32_t i = 0; i < length; ++i) {
      tokens.push_back(static_cast<TokenId>(random.bits(i) % engine_.config().vocabulary));
    }
    return tokens;
  }

  // By nothing but steps and the sampler.
  std::vector<TokenId> alone(const CompletionRequest& request) {
    std::vector<TokenId> tokens = std::get<std::vector<TokenId>>(request.prompt);
    size_t prompt_tokens = tokens.size();
    KvCache cache(engine_.config(), KvType::kF32,
                  static_cast<uint32_t>(prompt_tokens) + request.max_tokens);
    ConstraintSupply constraints(engine_.model().tokenizer(), {});
    std::optional<Constraint> constraint;
    if (request.grammar) constraint = constraints.make(request.grammar, AnswerEntry::kAnswer);
    while (tokens.size() < prompt_tokens + request.max_tokens) {
      std::vector<ForwardRow> rows;
      for (uint32_t p = cache.length(); p < tokens.size(); ++p) {
        rows.push_back({tokens[p], p, &cache, p + 1 == tokens.size()});
      }
      CHECK(run_step(engine_.forward(), rows, engine_.executor()).ok());
      std::shared_ptr<const TokenMask> mask;
      if (constraint) mask = *constraint->allowed();
      tokens.push_back(sample(engine_.forward().logits(0), tokens, tokens.size(), request.sampling,
                              prompt_tokens,
                              mask ? std::span(mask->words()) : std::span<const uint64_t>()));
      if (constraint) CHECK(constraint->accept(tokens.back()).ok());
    }
    return {tokens.begin() + static_cast<ptrdiff_t>(prompt_tokens), tokens.end()};
  }

  // A store of this model's prefixes; the storage must outlive it.
  std::unique_ptr<PrefixStore> open_store(Storage& storage, uint64_t quota,
                                          LogSink* log = nullptr) const {
    PrefixStoreOptions options;
    options.directory = "sessions";
    options.quota = quota;
    options.binding = sha256(as_bytes(engine_.config().architecture));
    options.block_bytes = KvPrice(config(), KvType::kF32).of_blocks(1);
    options.checkpoint_bytes = RecurrentState::snapshot_bytes(KvMemory::recurrent_layers(config()),
                                                              config().recurrent_shape());
    auto store = PrefixStore::open(storage, options, log);
    CHECK(store.ok());
    return std::move(*store);
  }

  SoloEngine& solo() { return engine_; }
  const ModelConfig& config() const { return engine_.config(); }
  uint64_t bytes_of_context() const { return KvPrice(config(), KvType::kF32).of(512); }
  ManualClock& clock() { return clock_; }

 private:
  SoloEngine engine_;
  ReluctantExecutor reluctant_;
  std::unique_ptr<Forward> second_;
  ChatTemplate template_;
  ManualClock clock_;
  std::vector<Forward*> forwards_;
};

inline CompletionRequest ask(std::vector<TokenId> prompt, uint32_t max_tokens, uint64_t seed = 1) {
  CompletionRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.seed = seed;
  request.ignore_end = true;
  return request;
}

inline std::shared_ptr<RecordedAnswer> submit(CompletionEngine& engine, CompletionRequest request) {
  auto answer = std::make_shared<RecordedAnswer>();
  engine.submit(std::move(request), answer);
  return answer;
}

inline void run_to_end(CompletionEngine& engine) {
  while (engine.turn(Duration::zero())) {
  }
}

}  // namespace potluck::test
