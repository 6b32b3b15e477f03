// Drafted tokens in the engine: what clients are told is what they are told without.
#include "coordinator/serving/speculation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/chat/answer_grammar.h"
#include "tests/unit/coordinator/serving/engine_rig.h"

namespace potluck {
namespace {

using test::ask;
using test::RecordedAnswer;
using test::run_to_end;
using test::submit;
using Rig = test::EngineRig;

EngineOptions options_for(const Rig& rig, SpeculationRule rule) {
  EngineOptions options;
  options.kv_type = KvType::kF32;
  options.context = 512;
  options.kv_bytes = 4 * rig.bytes_of_context();
  options.speculation = rule;
  return options;
}

// Text that repeats itself, with endings of its own.
CompletionRequest repeating(const Rig& rig, uint64_t seed, double temperature) {
  std::vector<TokenId> prompt;
  std::vector<TokenId> period = rig.prompt(seed, 6);
  for (int i = 0; i < 5; ++i) prompt.insert(prompt.end(), period.begin(), period.end());
  CompletionRequest request = ask(prompt, 50, seed);
  request.sampling.temperature = temperature;
  for (size_t i = 0; i < 3; ++i) request.sampling.logit_bias.push_back({period[i], 50});
  return request;
}

std::shared_ptr<const Grammar> grammar(const std::string& gbnf) {
  auto made = make_answer_grammar(GbnfForm{gbnf}, {});
  CHECK(made.ok());
  return *made;
}

void expect_same(const RecordedAnswer& found, const RecordedAnswer& expected) {
  EXPECT_EQ(found.tokens, expected.tokens);
  EXPECT_EQ(found.content, expected.content);
  EXPECT_EQ(found.failed.has_value(), expected.failed.has_value());
  ASSERT_EQ(found.finished.has_value(), expected.finished.has_value());
  if (!found.finished) return;
  EXPECT_EQ(found.finished->reason, expected.finished->reason);
  EXPECT_EQ(found.finished->stop_string, expected.finished->stop_string);
  EXPECT_EQ(found.finished->decode_steps, expected.finished->decode_steps);
  EXPECT_EQ(found.finished->usage.completion_tokens, expected.finished->usage.completion_tokens);
}

// Each of them by itself in one engine, then all together in another.
void compare(Rig& rig, const std::vector<CompletionRequest>& requests, bool two_steps = false) {
  std::vector<std::shared_ptr<RecordedAnswer>> expected;
  for (const CompletionRequest& request : requests) {
    auto plain = rig.make(options_for(rig, SpeculationRule::kOff));
    expected.push_back(submit(*plain, request));
    run_to_end(*plain);
  }
  auto engine = rig.make(options_for(rig, SpeculationRule::kAlways), two_steps);
  std::vector<std::shared_ptr<RecordedAnswer>> found;
  for (const CompletionRequest& request : requests) found.push_back(submit(*engine, request));
  run_to_end(*engine);
  for (size_t i = 0; i < requests.size(); ++i) {
    SCOPED_TRACE(i);
    expect_same(*found[i], *expected[i]);
  }
  EXPECT_GT(engine->figures().accepted_tokens, 0u);
  EXPECT_LT(engine->figures().accepted_tokens, engine->figures().drafted_tokens);
  EXPECT_EQ(engine->reserved_bytes(), 0u);
}

TEST(Speculation, SeveralAnswersInOneStepAndInTwo) {
  for (const char* family : {"qwen3moe", "qwen3next"}) {
    SCOPED_TRACE(family);
    Rig rig(family);
    std::vector<CompletionRequest> requests;
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      requests.push_back(repeating(rig, seed, seed % 2 == 0 ? 0.8 : 0));
    }
    compare(rig, requests);
    compare(rig, requests, true);
  }
}

TEST(Speculation, GrammarsAndStopStrings) {
  Rig rig("qwen3moe");
  std::vector<CompletionRequest> requests;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    CompletionRequest request = ask(rig.prompt(seed, 9), 80, seed);
    request.grammar = grammar("root ::= (\"ab\" [cd] \" \"){10,12} \".\"");
    requests.push_back(request);
    request.grammar = grammar("root ::= \"abc\"{9,40}");
    request.stop = {"cabcabca"};
    requests.push_back(request);
  }
  compare(rig, requests);
}

TEST(Speculation, EndsWhereTheLimitIs) {
  Rig rig("qwen3moe");
  for (uint32_t most : {1U, 2U, 3U, 7U, 20U}) {
    CompletionRequest request = repeating(rig, 4, 0);
    request.max_tokens = most;
    auto engine = rig.make(options_for(rig, SpeculationRule::kAlways));
    auto told = submit(*engine, request);
    run_to_end(*engine);
    EXPECT_EQ(told->tokens, rig.alone(request)) << most;
    EXPECT_EQ(told->finished->reason, FinishReason::kLength);
  }
}

// What a conversation leaves is what was chosen, whatever was drafted behind it.
TEST(Speculation, LaterRequestsBeginFromWhatWasChosen) {
  for (const char* family : {"qwen3moe", "qwen3next"}) {
    SCOPED_TRACE(family);
    Rig rig(family);
    auto engine = rig.make(options_for(rig, SpeculationRule::kAlways));
    CompletionRequest first = repeating(rig, 2, 0.8);
    auto told = submit(*engine, first);
    run_to_end(*engine);
    CompletionRequest second = first;
    auto& prompt = std::get<std::vector<TokenId>>(second.prompt);
    prompt.insert(prompt.end(), told->tokens.begin(), told->tokens.end());
    prompt.push_back(5);
    auto more = submit(*engine, second);
    run_to_end(*engine);
    EXPECT_EQ(more->tokens, rig.alone(second));
    EXPECT_GT(more->finished->usage.cached_tokens, 30u);
  }
}

// A step that goes on for another answer fills positions of one that has ended.
TEST(Speculation, WhatIsCancelledInAStepLeavesNoDraft) {
  for (const char* family : {"qwen3moe", "qwen3next"}) {
    SCOPED_TRACE(family);
    Rig rig(family);
    for (int turns = 5; turns < 60; ++turns) {
      auto engine = rig.make(options_for(rig, SpeculationRule::kAlways), true);
      CompletionRequest request = repeating(rig, 1, 0);
      auto one = std::make_shared<RecordedAnswer>();
      const CompletionId id = engine->submit(request, one);
      auto other = submit(*engine, repeating(rig, 2, 0));
      for (int i = 0; i < turns; ++i) engine->turn(Duration::zero());
      engine->cancel(id);
      run_to_end(*engine);
      ASSERT_EQ(other->tokens, rig.alone(repeating(rig, 2, 0)));
      auto again = submit(*engine, request);
      run_to_end(*engine);
      ASSERT_EQ(again->tokens, rig.alone(request)) << turns;
    }
  }
}

TEST(Speculation, MemoryForDraftsIsTakenFromNone) {
  Rig rig("qwen3moe");
  EngineOptions options = options_for(rig, SpeculationRule::kAlways);
  options.kv_bytes = rig.bytes_of_context();
  options.context = 512;
  options.prefill_chunk = PrefillChunk::exactly(3);
  auto engine = rig.make(options);
  std::vector<CompletionRequest> requests;
  std::vector<std::shared_ptr<RecordedAnswer>> told;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    requests.push_back(repeating(rig, seed, 0));
    requests.back().max_tokens = 300;
    told.push_back(submit(*engine, requests.back()));
  }
  run_to_end(*engine);
  for (size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i]->tokens, rig.alone(requests[i]));
  EXPECT_GT(engine->figures().accepted_tokens, 0u);
}

TEST(ProposalRecord, LearnsByWhatWasTheSameBefore) {
  ProposalRecord record;
  EXPECT_DOUBLE_EQ(record.chance(2), 0.5);
  for (int i = 0; i < 30; ++i) record.note(2, false);
  for (int i = 0; i < 30; ++i) record.note(PromptLookup::kMostMatched, true);
  EXPECT_LT(record.chance(3), 0.1);
  EXPECT_GT(record.chance(PromptLookup::kMostMatched), 0.95);
  EXPECT_DOUBLE_EQ(record.chance(5), 0.5);
  for (int i = 0; i < 60; ++i) record.note(PromptLookup::kMostMatched, false);
  EXPECT_LT(record.chance(PromptLookup::kMostMatched), 0.3) << "the last ones count";
}

}  // namespace
}  // namespace potluck
