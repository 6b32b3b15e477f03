// Many requests at once: each gets the tokens that it gets alone, whatever becomes of the others.
#include "coordinator/serving/completion_engine.h"

#include <limits>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/admission.h"
#include "engine/base/format_bytes.h"
#include "engine/chat/answer_grammar.h"
#include "engine/grammar/grammar_limits.h"
#include "tests/unit/coordinator/serving/engine_rig.h"
#include "tests/unit/engine/model/tiny_model.h"

namespace potluck {
namespace {

using test::RecordedAnswer;
using testing::HasSubstr;

using Rig = test::EngineRig;
using test::ask;
using test::run_to_end;
using test::submit;

EngineOptions engine_options() {
  EngineOptions options;
  options.kv_type = KvType::kF32;
  options.context = 512;
  return options;
}

// Longer than any answer here.
std::shared_ptr<const Grammar> long_text() {
  auto grammar = make_answer_grammar(GbnfForm{"root ::= ([a-z]{1,9} [ .]){5000,6000}"}, {});
  CHECK(grammar.ok());
  return *grammar;
}

CompletionRequest ask_chat(const std::string& text, uint32_t max_tokens) {
  CompletionRequest request = ask({}, max_tokens);
  Conversation conversation;
  conversation.messages.push_back({"user", JsonValue{text}, {}, {}, {}, {}});
  request.prompt = conversation;
  return request;
}

TEST(CompletionEngine, TellsEachRequestItsOwnStory) {
  Rig rig("qwen3moe");
  EngineOptions options = engine_options();
  options.prefill_chunk = PrefillChunk::exactly(16);
  auto engine = rig.make(options);
  CompletionRequest first = ask(rig.prompt(1, 40), 6);
  CompletionRequest second = ask(rig.prompt(2, 5), 9, 7);
  auto told_first = submit(*engine, first);
  auto told_second = submit(*engine, second);
  run_to_end(*engine);
  ASSERT_TRUE(told_first->finished);
  EXPECT_EQ(told_first->tokens, rig.alone(first));
  EXPECT_EQ(told_second->tokens, rig.alone(second));
  EXPECT_EQ(told_first->admitted->prompt_tokens, 40u);
  EXPECT_EQ(told_first->finished->reason, FinishReason::kLength);
  EXPECT_EQ(told_first->finished->usage.prompt_tokens, 40u);
  EXPECT_EQ(told_first->finished->usage.cached_tokens, 0u);
  EXPECT_EQ(told_first->finished->usage.completion_tokens, 6u);
  EXPECT_EQ(told_first->finished->decode_steps, 5u);
  ASSERT_GE(told_first->progress.size(), 3u);
  EXPECT_EQ(told_first->progress.front().done, 16u);
  EXPECT_EQ(told_first->progress.back().done, 40u);
  EXPECT_EQ(told_first->progress.back().total, 40u);
  EXPECT_EQ(engine->reserved_bytes(), 0u);
}

TEST(CompletionEngine, TellsHowFarALongStepIs) {
  Rig rig("qwen3moe");
  EngineOptions options = engine_options();
  options.context = 2048;
  options.prefill_chunk = PrefillChunk::exactly(2048);
  auto engine = rig.make(options);
  CompletionRequest request = ask(rig.prompt(1, 1100), 2);
  auto told = submit(*engine, request);
  run_to_end(*engine);
  EXPECT_EQ(told->tokens, rig.alone(request));
  ASSERT_GE(told->progress.size(), 2u);
  EXPECT_GT(told->progress.front().done, 0u);
  EXPECT_LT(told->progress.front().done, 1100u) << "in the middle of the only step";
  EXPECT_EQ(told->progress.back().done, 1100u);
  EXPECT_TRUE(std::ranges::is_sorted(told->progress, {}, &CompletionProgress::done));
}

TEST(CompletionEngine, RefusesWhatCannotBeAnswered) {
  Rig rig("qwen3moe");
  auto engine = rig.make(engine_options());
  auto fault = [&](const CompletionRequest& request) {
    auto told = submit(*engine, request);
    run_to_end(*engine);
    EXPECT_TRUE(told->failed);
    return told->failed.value_or(CompletionFailed{});
  };
  CompletionFailed too_long = fault(ask(rig.prompt(1, 513), 1));
  EXPECT_EQ(too_long.fault, CompletionFault::kTooLong);
  EXPECT_EQ(too_long.prompt_tokens, 513u);
  EXPECT_EQ(too_long.context, 512u);
  uint64_t needed = KvPrice(rig.config(), KvType::kF32).of(513);
  EXPECT_THAT(too_long.message, HasSubstr("513 tokens, which need " + format_bytes(needed)));
  EXPECT_THAT(too_long.message, HasSubstr("for " + format_bytes(rig.bytes_of_context())));
  EXPECT_THAT(too_long.message, HasSubstr("--ctx"));
  EXPECT_THAT(fault(ask({}, 1)).message, HasSubstr("empty"));
  EXPECT_THAT(fault(ask({1, -1}, 1)).message, HasSubstr("token -1 is not in the vocabulary"));
  CompletionRequest hot = ask({1}, 1);
  hot.sampling.temperature = -1;
  EXPECT_THAT(fault(hot).message, HasSubstr("temperature"));
  CompletionRequest biased = ask({1}, 1);
  biased.sampling.logit_bias = {{1 << 22, 1}};
  EXPECT_THAT(fault(biased).message, HasSubstr("logit bias: token"));
  CompletionRequest stopped = ask({1}, 1);
  stopped.stop = {"\xFF"};
  EXPECT_EQ(fault(stopped).fault, CompletionFault::kInvalid);
  stopped.stop.assign(65, "x");
  EXPECT_THAT(fault(stopped).message, HasSubstr("at most 64 stop strings, found 65"));
  CompletionRequest curious = ask({1}, 1);
  curious.top_logprobs = 101;
  EXPECT_THAT(fault(curious).message, HasSubstr("top_logprobs"));
  engine->drain();
  EXPECT_EQ(engine->state(), ServiceState::kDraining);
  EXPECT_EQ(fault(ask({1}, 1)).fault, CompletionFault::kUnavailable);
}

TEST(CompletionEngine, ItsQueueIsBounded) {
  Rig rig("qwen3moe");
  EngineOptions options = engine_options();
  options.most_active = 1;
  options.most_waiting = 2;
  auto engine = rig.make(options);
  std::vector<std::shared_ptr<RecordedAnswer>> told;
  for (int i = 0; i < 2; ++i) told.push_back(submit(*engine, ask(rig.prompt(1, 9), 20)));
  engine->turn(Duration::zero());
  for (int i = 0; i < 2; ++i) told.push_back(submit(*engine, ask(rig.prompt(2, 9), 3)));
  engine->turn(Duration::zero());
  EXPECT_EQ(told[2]->admitted->waiting, 1u);
  ASSERT_TRUE(told[3]->failed);
  EXPECT_EQ(told[3]->failed->fault, CompletionFault::kOverloaded);
  EXPECT_GE(told[3]->failed->retry_after_seconds, 1u);
  run_to_end(*engine);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(told[static_cast<size_t>(i)]->finished);
}

// Of requests that the engine has not looked at yet, too.
TEST(CompletionEngine, ItsQueueIsBoundedInBytes) {
  Rig rig("qwen3moe");
  EngineOptions options = engine_options();
  options.most_active = 1;
  options.most_waiting_bytes = 4500;
  auto engine = rig.make(options);
  CompletionRequest request = ask(rig.prompt(1, 400), 3);
  ASSERT_GT(waiting_bytes(request), 1600u);
  ASSERT_LT(2 * waiting_bytes(request), options.most_waiting_bytes);
  auto first = submit(*engine, request);
  auto second = submit(*engine, request);
  auto third = submit(*engine, request);
  EXPECT_FALSE(second->failed);
  ASSERT_TRUE(third->failed) << "before any turn";
  EXPECT_EQ(third->failed->fault, CompletionFault::kOverloaded);
  EXPECT_GE(third->failed->retry_after_seconds, 1u);
  EXPECT_THAT(third->failed->message, HasSubstr("all may take 4.4 KiB"));
  engine->turn(Duration::zero());
  auto again = submit(*engine, request);
  EXPECT_FALSE(again->failed) << "the first one does not wait any more";
  run_to_end(*engine);
  for (const auto& told : {first, second, again}) EXPECT_TRUE(told->finished);
  request.stop = {std::string(4000, 'x')};
  auto large = submit(*engine, request);
  EXPECT_FALSE(large->failed) << "nothing else waits";
  run_to_end(*engine);
}

TEST(CompletionEngine, WhoWaitsIsToldItsPlace) {
  Rig rig("qwen3moe");
  EngineOptions options = engine_options();
  options.most_active = 1;
  auto engine = rig.make(options);
  std::vector<std::shared_ptr<RecordedAnswer>> told;
  for (uint64_t i = 0; i < 3; ++i) told.push_back(submit(*engine, ask(rig.prompt(1 + i, 9), 3)));
  engine->turn(Duration::zero());
  EXPECT_TRUE(told[0]->queued.empty());
  ASSERT_EQ(told[1]->queued.size(), 1u);
  EXPECT_EQ(told[1]->queued[0].ahead, 0u);
  EXPECT_EQ(told[1]->queued[0].seconds, 0u) << "not known yet";
  ASSERT_EQ(told[2]->queued.size(), 1u);
  EXPECT_EQ(told[2]->queued[0].ahead, 1u);
  rig.clock().advance(std::chrono::seconds(4));
  while (!told[1]->finished) engine->turn(Duration::zero());
  ASSERT_EQ(told[2]->queued.size(), 2u);
  EXPECT_EQ(told[2]->queued[1].ahead, 0u);
  EXPECT_EQ(told[2]->queued[1].seconds, 4u);
  run_to_end(*engine);
  EXPECT_EQ(told[2]->queued.size(), 2u);
  EXPECT_TRUE(told[2]->finished);
}

// Hundreds of rules that read the same letters, each by itself: more than a turn may do for a
// token.
std::shared_ptr<const Grammar> laborious_text() {
  std::string root = "root ::= (";
  std::string others;
  for (int i = 0; i < 600; ++i) {
    std::string name = "r" + std::to_string(i);
    root += (i == 0 ? "" : " | ") + name;
    others += "\n" + name + " ::= [a-z]{1," + std::to_string(500 + i) + "} [0-9]";
  }
  auto grammar = make_answer_grammar(GbnfForm{root + ") \".\"" + others}, {});
  CHECK(grammar.ok());
  return *grammar;
}

// Counted in work, not in time: in each turn there is a little for the grammar, and the steps of
// the other request go on meanwhile.
TEST(CompletionEngine, ALaboriousGrammarHoldsNoOtherRequestUp) {
  constexpr uint64_t kMostInATurn = 96 * 1024 + limits::kByteWork + limits::kTokenWork;
  for (bool two_steps : {false, true}) {
    Rig rig("qwen3moe");
    auto engine = rig.make(engine_options(), two_steps);
    CompletionRequest plain = ask(rig.prompt(1, 9), 60);
    CompletionRequest formed = ask(rig.prompt(2, 9), 4);
    formed.grammar = laborious_text();
    auto told_plain = submit(*engine, plain);
    auto told_formed = submit(*engine, formed);
    size_t before_formed = 0;
    uint64_t turns_with_work = 0;
    for (uint64_t before = 0; engine->turn(Duration::zero()); before = engine->mask_work()) {
      EXPECT_LE(engine->mask_work() - before, kMostInATurn);
      turns_with_work += engine->mask_work() > before ? 1 : 0;
      if (told_formed->tokens.empty()) before_formed = told_plain->tokens.size();
    }
    EXPECT_GT(turns_with_work, 10u);
    EXPECT_GT(before_formed, 2u);
    EXPECT_EQ(told_plain->tokens, rig.alone(plain));
    EXPECT_EQ(told_formed->tokens, rig.alone(formed));
  }
}

// It has no tokens yet, holds memory, and waits for its mask.
TEST(CompletionEngine, WhatWaitsForItsMaskIsCancelledAndSentBackLikeOthers) {
  Rig rig("qwen3moe");
  auto engine = rig.make(engine_options());
  CompletionRequest formed = ask(rig.prompt(2, 9), 4);
  formed.grammar = laborious_text();
  auto told = std::make_shared<RecordedAnswer>();
  CompletionId id = engine->submit(formed, told);
  while (engine->mask_work() < 500'000) engine->turn(Duration::zero());
  EXPECT_TRUE(told->tokens.empty());
  engine->cancel(id);
  run_to_end(*engine);
  ASSERT_TRUE(told->finished);
  EXPECT_EQ(told->finished->reason, FinishReason::kCancelled);
  EXPECT_EQ(engine->reserved_bytes(), 0u);
  auto again = submit(*engine, formed);
  run_to_end(*engine);
  EXPECT_EQ(again->tokens, rig.alone(formed));
}

TEST(CompletionEngine, TellsWhatItHas) {
  Rig rig("qwen3moe");
  EngineOptions options = engine_options();
  options.most_active = 1;
  MemoryStorage disk;
  auto store = rig.open_store(disk, kGiB);
  options.store = store.get();
  auto engine = rig.make(options);
  CompletionRequest request = ask(rig.prompt(1, 300), 3);
  auto first = submit(*engine, request);
  auto second = submit(*engine, request);
  while (first->tokens.empty()) engine->turn(Duration::zero());
  ServiceFigures busy = engine->figures();
  EXPECT_EQ(busy.kv_budget_bytes, rig.bytes_of_context());
  EXPECT_EQ(busy.kv_used_blocks, 2u);
  EXPECT_GT(busy.kv_used_bytes, 0u);
  EXPECT_EQ(busy.queue_requests, 1u);
  EXPECT_GE(busy.queue_bytes, 300 * sizeof(TokenId));
  run_to_end(*engine);
  ServiceFigures idle = engine->figures();
  EXPECT_EQ(idle.kv_used_blocks, 0u);
  EXPECT_EQ(idle.kv_kept_blocks, 2u);
  EXPECT_GT(idle.kv_kept_bytes, 0u);
  EXPECT_EQ(idle.kv_used_bytes, 0u);
  EXPECT_EQ(idle.kv_budget_bytes, idle.kv_kept_bytes + idle.kv_free_bytes);
  EXPECT_EQ(idle.prefix_queries, 600u);
  EXPECT_EQ(idle.prefix_hits, second->finished->usage.cached_tokens);
  EXPECT_EQ(idle.queue_requests + idle.queue_bytes, 0u);
  // Another conversation takes the memory, and the first one comes back from disk.
  submit(*engine, ask(rig.prompt(2, 400), 3));
  run_to_end(*engine);
  EXPECT_GT(engine->figures().saved_blocks, 0u);
  EXPECT_GT(engine->figures().disk_bytes, 0u);
  submit(*engine, request);
  run_to_end(*engine);
  EXPECT_GT(engine->figures().restored_blocks, 0u);
}

TEST(CompletionEngine, CancelEndsWhatWaitsAndWhatIsUnderWay) {
  Rig rig("qwen3moe");
  EngineOptions options = engine_options();
  options.most_active = 1;
  options.prefill_chunk = PrefillChunk::exactly(8);
  auto engine = rig.make(options);
  auto first = std::make_shared<RecordedAnswer>();
  auto second = std::make_shared<RecordedAnswer>();
  CompletionRequest request = ask(rig.prompt(1, 100), 10);
  CompletionId first_id = engine->submit(request, first);
  CompletionId second_id = engine->submit(request, second);
  while (first->progress.size() < 2) engine->turn(Duration::zero());
  engine->cancel(second_id);
  engine->cancel(first_id);
  engine->cancel(999);
  EXPECT_FALSE(engine->turn(Duration::zero())) << "within one turn, in the middle of the prompt";
  EXPECT_EQ(first->finished->reason, FinishReason::kCancelled);
  EXPECT_EQ(second->finished->reason, FinishReason::kCancelled);
  EXPECT_EQ(engine->reserved_bytes(), 0u);
  // A retry begins where the cancelled one was.
  auto retry = submit(*engine, request);
  run_to_end(*engine);
  EXPECT_GE(retry->finished->usage.cached_tokens, 16u);
  EXPECT_EQ(retry->tokens, rig.alone(request));
}

TEST(CompletionEngine, LaterRequestsBeginWhereEarlierOnesWere) {
  for (const char* name : {"qwen3moe", "qwen3next"}) {
    Rig rig(name);
    EngineOptions options = engine_options();
    options.kv_bytes = 1 << 28;
    auto engine = rig.make(options);
    std::vector<TokenId> conversation = rig.prompt(1, 150);
    auto first = submit(*engine, ask(conversation, 8));
    run_to_end(*engine);
    conversation.insert(conversation.end(), first->tokens.begin(), first->tokens.end());
    std::vector<TokenId> more = rig.prompt(2, 20);
    conversation.insert(conversation.end(), more.begin(), more.end());
    CompletionRequest next = ask(conversation, 8);
    auto second = submit(*engine, next);
    run_to_end(*engine);
    EXPECT_EQ(second->finished->usage.cached_tokens, 157u) << "all but the last token";
    EXPECT_EQ(second->tokens, rig.alone(next)) << name;
  }
}

// Concurrent requests with a common prefix share one prefill: the later ones wait and copy it.
TEST(CompletionEngine, RequestsThatBeginAlikeShareThePrefill) {
  Rig rig("qwen3moe");
  EngineOptions options = engine_options();
  options.kv_bytes = 1 << 28;
  options.prefill_chunk = PrefillChunk::exactly(32);
  auto engine = rig.make(options);
  std::vector<std::shared_ptr<RecordedAnswer>> told;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    told.push_back(submit(*engine, ask(rig.prompt(1, 200), 5, seed)));
  }
  run_to_end(*engine);
  EXPECT_EQ(told[0]->finished->usage.cached_tokens, 0u);
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const RecordedAnswer& one = *told[seed - 1];
    EXPECT_EQ(one.tokens, rig.alone(ask(rig.prompt(1, 200), 5, seed)));
    if (seed > 1) {
      EXPECT_EQ(one.finished->usage.cached_tokens, 199u);
    }
  }
}

// With recurrent layers a fork is known only where a checkpoint was made: the second helper makes
// one, the third begins there.
TEST(CompletionEngine, RecurrentStatesAreKeptWhereHelpersPart) {
  Rig rig("qwen3next");
  EngineOptions options = engine_options();
  options.kv_bytes = 1 << 28;
  auto engine = rig.make(options);
  std::vector<uint32_t> cached;
  for (uint64_t helper = 1; helper <= 3; ++helper) {
    std::vector<TokenId> tokens = rig.prompt(1, 150);
    std::vector<TokenId> own = rig.prompt(10 + helper, 30);
    tokens.insert(tokens.end(), own.begin(), own.end());
    auto told = submit(*engine, ask(tokens, 4));
    run_to_end(*engine);
    EXPECT_EQ(told->tokens, rig.alone(ask(tokens, 4)));
    cached.push_back(told->finished->usage.cached_tokens);
  }
  EXPECT_THAT(cached, testing::ElementsAre(0, 0, 150));
}

TEST(CompletionEngine, MemoryThatRunsOutSendsTheLastOneBack) {
  Rig rig("qwen3moe");
  EngineOptions options = engine_options();
  options.context = 768;
  options.kv_bytes = 4 * KvPrice(rig.solo().config(), KvType::kF32).of(256);
  auto engine = rig.make(options);
  std::vector<CompletionRequest> requests = {ask(rig.prompt(1, 250), 300),
                                             ask(rig.prompt(2, 250), 300)};
  for (CompletionRequest& request : requests) request.grammar = long_text();
  std::vector<std::shared_ptr<RecordedAnswer>> told;
  for (const CompletionRequest& request : requests) told.push_back(submit(*engine, request));
  bool were_both_active = false;
  while (engine->turn(Duration::zero())) {
    EXPECT_LE(engine->taken_bytes(), options.kv_bytes);
    were_both_active = were_both_active || engine->reserved_bytes() == options.kv_bytes;
  }
  EXPECT_TRUE(were_both_active);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(told[i]->tokens, rig.alone(requests[i]));
}

// In the same step, the others go on.
TEST(CompletionEngine, ABadRowFailsItsOwnRequest) {
  constexpr TokenId kBadToken = 5;
  test::TinyModel tiny("qwen3moe");
  tiny.tensors["token_embd.weight"].values[kBadToken * test::TinyModel::kHidden] =
      std::numeric_limits<float>::infinity();
  std::unique_ptr<Model> model = std::move(*tiny.load());
  std::unique_ptr<ResidentSource> source = std::move(*ResidentSource::load(model->cutter(), {}));
  const KernelTable& kernels = *available_kernels().front();
  ThreadPool pool(1);
  ExpertCompute compute(kernels, pool);
  LocalExecutor executor(model->cutter(), *source, compute);
  Forward forward(*model, kernels, pool);
  Forward* const forwards[] = {&forward};
  ManualClock clock;
  CompletionEngine engine({*model, forwards, executor, clock, nullptr}, engine_options());
  CompletionRequest request = ask({7, 8, 9}, 5);
  request.sampling.logit_bias = {{kBadToken, -100}};
  auto alone = submit(engine, request);
  run_to_end(engine);
  auto good = submit(engine, request);
  auto bad = submit(engine, ask({7, 9, kBadToken, 9}, 5));
  auto other = submit(engine, request);
  run_to_end(engine);
  ASSERT_TRUE(bad->failed);
  EXPECT_EQ(bad->failed->fault, CompletionFault::kInternal);
  EXPECT_THAT(bad->failed->message, HasSubstr("position 2"));
  EXPECT_EQ(good->tokens, alone->tokens);
  EXPECT_EQ(other->tokens, alone->tokens);
  EXPECT_EQ(good->content, "") << "there is no tokenizer";
  EXPECT_EQ(engine.reserved_bytes(), 0u);
}

TEST(CompletionEngine, SpeaksThroughTheTemplateAndEncodesLikeIt) {
  Rig rig("qwen3moe");
  auto engine = rig.make(engine_options());
  CompletionRequest request = ask_chat("Hello", 6);
  auto told = submit(*engine, request);
  run_to_end(*engine);
  ASSERT_TRUE(told->finished);
  auto tokens = engine->encode(request.prompt);
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ(told->admitted->prompt_tokens, tokens->size());
  EXPECT_EQ(told->tokens, rig.alone(ask(*tokens, 6)));
  EXPECT_EQ(*engine->decode(*tokens), "user: Hello\nassistant: ");
  EXPECT_FALSE(engine->decode({-1}).ok());
  EXPECT_EQ(engine->model().context, 512u);

  CompletionRequest text = ask({}, 6);
  text.prompt = std::string("user: Hello\nassistant: ");
  auto completed = submit(*engine, text);
  run_to_end(*engine);
  EXPECT_EQ(completed->tokens, told->tokens);
}

TEST(CompletionEngine, ComputesThePromptAloneIfAskedTo) {
  Rig rig("qwen3moe");
  auto engine = rig.make(engine_options());
  CompletionRequest request = ask(rig.prompt(1, 50), 5);
  request.prompt_only = true;
  auto told = submit(*engine, request);
  run_to_end(*engine);
  EXPECT_TRUE(told->tokens.empty());
  EXPECT_EQ(told->finished->reason, FinishReason::kLength);
  request.prompt_only = false;
  auto next = submit(*engine, request);
  run_to_end(*engine);
  EXPECT_EQ(next->finished->usage.cached_tokens, 49u);
}

TEST(CompletionEngine, TakesRequestsFromOtherThreads) {
  Rig rig("qwen3moe");
  auto engine = rig.make(engine_options());
  CompletionRequest request = ask(rig.prompt(1, 20), 5);
  std::vector<TokenId> expected = rig.alone(request);
  std::atomic<bool> stop{false};
  std::vector<std::shared_ptr<RecordedAnswer>> told;
  for (int i = 0; i < 8; ++i) told.push_back(std::make_shared<RecordedAnswer>());
  std::thread clients([&] {
    for (auto& one : told) {
      CompletionId id = engine->submit(request, one);
      if (one == told[3]) engine->cancel(id);
    }
    stop = true;
  });
  while (!stop) engine->run_until(stop);
  clients.join();
  run_to_end(*engine);
  for (auto& one : told) {
    ASSERT_TRUE(one->finished);
    if (one->finished->reason == FinishReason::kLength) {
      EXPECT_EQ(one->tokens, expected);
    }
  }
}

// Random requests that begin alike, are cancelled and asked again, in every order: what a request
// is told is what it would be told alone.
class AnyCompany : public testing::TestWithParam<const char*> {};

struct Plan {
  std::vector<CompletionRequest> requests;
  EngineOptions options;
  bool two_steps = false;
  bool spills = false;
  uint64_t disk_bytes = 0;
  uint64_t context_bytes = 0;
};

Plan make_plan(const Rig& rig, CounterRandom random, uint64_t* draws) {
  auto draw = [&](uint64_t below) { return static_cast<uint32_t>(random.bits(++*draws) % below); };
  Plan plan;
  std::vector<TokenId> trunk = rig.prompt(1 + draw(3), 260);
  for (int i = 0; i < 8; ++i) {
    std::vector<TokenId> tokens(trunk.begin(), trunk.begin() + 1 + draw(250));
    std::vector<TokenId> own = rig.prompt(100 + draw(4), draw(40));
    tokens.insert(tokens.end(), own.begin(), own.end());
    CompletionRequest request = ask(std::move(tokens), 1 + draw(20), draw(3));
    if (draw(3) == 0) request.prompt = rig.prompt(7, 120);
    request.background = draw(4) == 0;
    request.user = std::string(1, "ab"[draw(2)]);
    if (draw(2) == 0) request.sampling.frequency_penalty = 0.5;
    if (i % 3 == 0) request.grammar = long_text();
    plan.requests.push_back(std::move(request));
  }
  uint64_t chunk_bytes = KvPrice(rig.config(), KvType::kF32).of(256);
  plan.options = engine_options();
  plan.options.prefill_chunk = PrefillChunk::exactly(1 + draw(60));
  plan.options.most_active = 1 + draw(8);
  plan.options.kv_bytes = chunk_bytes * (2 + draw(6));
  plan.two_steps = draw(2) == 0;
  plan.spills = draw(3) > 0;
  plan.disk_bytes = (chunk_bytes + 8192) * (1 + draw(16));
  return plan;
}

struct AskedEngine {
  size_t request = 0;
  CompletionId id = 0;
  std::shared_ptr<RecordedAnswer> told;
};

// Asks for all of them, cancels some, and asks for some of these again.
std::vector<AskedEngine> answer_all(CompletionEngine& engine, const Plan& plan,
                                    CounterRandom random, uint64_t* draws) {
  auto draw = [&](uint64_t below) { return random.bits(++*draws) % below; };
  std::vector<AskedEngine> asked;
  auto ask_for = [&](size_t request) {
    auto told = std::make_shared<RecordedAnswer>();
    asked.push_back({request, engine.submit(plan.requests[request], told), told});
  };
  size_t next = 0;
  for (bool busy = true; busy || next < plan.requests.size();) {
    if (next < plan.requests.size() && draw(20) == 0) ask_for(next++);
    if (!asked.empty() && draw(150) == 0) {
      const AskedEngine& one = asked[draw(asked.size())];
      engine.cancel(one.id);
      if (asked.size() < 16 && draw(2) == 0) ask_for(one.request);
    }
    busy = engine.turn(Duration::zero());
    EXPECT_LE(engine.taken_bytes(), std::max(plan.options.kv_bytes, plan.context_bytes));
  }
  return asked;
}

TEST_P(AnyCompany, ChangesNoToken) {
  Rig rig(GetParam());
  size_t cached = 0;
  size_t cancelled = 0;
  size_t stored = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    CounterRandom random(seed);
    uint64_t draws = 0;
    Plan plan = make_plan(rig, random, &draws);
    plan.context_bytes = rig.bytes_of_context();
    MemoryStorage disk;
    std::vector<AskedEngine> asked;
    // What the first engine leaves, the second one finds.
    for (int round = 0; round < 2; ++round) {
      std::unique_ptr<PrefixStore> store;
      if (plan.spills) store = rig.open_store(disk, plan.disk_bytes);
      plan.options.store = store.get();
      auto engine = rig.make(plan.options, plan.two_steps);
      for (AskedEngine& one : answer_all(*engine, plan, random, &draws)) asked.push_back(one);
      EXPECT_EQ(engine->reserved_bytes(), 0u);
      engine->save(Duration::max());
      if (store == nullptr) continue;
      stored += store->bytes();
      EXPECT_LE(store->bytes(), plan.disk_bytes);
    }
    std::vector<std::vector<TokenId>> alone;
    for (const CompletionRequest& request : plan.requests) alone.push_back(rig.alone(request));
    for (const AskedEngine& one : asked) {
      ASSERT_TRUE(one.told->finished);
      std::vector<TokenId> expected = alone[one.request];
      bool was_cancelled = one.told->finished->reason == FinishReason::kCancelled;
      if (was_cancelled) expected.resize(one.told->tokens.size());
      EXPECT_EQ(one.told->tokens, expected);
      cancelled += was_cancelled ? 1 : 0;
      cached += one.told->finished->usage.cached_tokens;
    }
  }
  EXPECT_GT(cached, 1000u);
  EXPECT_GT(cancelled, 5u);
  EXPECT_GT(stored, 0u);
}

INSTANTIATE_TEST_SUITE_P(Families, AnyCompany, testing::Values("qwen3moe", "qwen3next", "gpt-oss"));

}  // namespace
}  // namespace potluck
