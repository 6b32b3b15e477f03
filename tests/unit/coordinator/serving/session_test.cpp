// A session alone: what it asks to be computed, and what becomes of the logits.
#include "coordinator/serving/session.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/constraint_supply.h"
#include "tests/support/solo_engine.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

using testing::ElementsAre;

class SessionTest : public testing::Test {
 protected:
  SessionTest() : engine_(test::data_path("arch/qwen3moe/model.gguf"), {}) {}

  const Tokenizer& tokenizer() const { return *engine_.model().tokenizer(); }
  std::unique_ptr<KvCache> cache(uint32_t positions = 64) const {
    return std::make_unique<KvCache>(engine_.config(), KvType::kF32, positions);
  }
  Session session(SessionTask task) const {
    task.sampling.temperature = 0;
    if (task.prompt.empty()) task.prompt = {1, 2, 3};
    return {&tokenizer(), std::move(task), AnswerReader(StreamingDecoder(tokenizer()))};
  }
  // A token that stands for just this.
  TokenId token_of(const std::string& text) const {
    auto tokens = tokenizer().encode(text, SpecialTokens::kAsText);
    CHECK(tokens.ok() && tokens->size() == 1);
    return tokens->front();
  }
  std::vector<float> logits_for(TokenId token) const {
    std::vector<float> logits(engine_.config().vocabulary, 0.0F);
    logits[static_cast<size_t>(token)] = 5;
    return logits;
  }
  // As if all that is due had been computed.
  static void compute(Session& session) {
    session.cache()->set_length(static_cast<uint32_t>(session.tokens().size()));
  }
  CompletionDelta say(Session& session, const std::string& text) const {
    compute(session);
    return session.choose(logits_for(token_of(text)));
  }

  test::SoloEngine engine_;
};

TEST_F(SessionTest, AsksForItsTokensInOrder) {
  Session one = session({.max_tokens = 5});
  EXPECT_EQ(one.phase(), SessionPhase::kWaiting);
  std::unique_ptr<KvCache> begun = cache();
  begun->set_length(1);
  one.start(std::move(begun));
  EXPECT_EQ(one.phase(), SessionPhase::kPrefill);
  EXPECT_THAT(one.due(), ElementsAre(2, 3));
  CompletionDelta delta = say(one, "a");
  EXPECT_EQ(delta.piece.content, "a");
  EXPECT_THAT(delta.tokens, ElementsAre(token_of("a")));
  EXPECT_EQ(one.phase(), SessionPhase::kDecode);
  EXPECT_THAT(one.due(), ElementsAre(token_of("a")));
  // Without its cache it has to compute everything again, its own tokens too.
  EXPECT_NE(one.release(), nullptr);
  EXPECT_EQ(one.phase(), SessionPhase::kWaiting);
  EXPECT_EQ(one.due().size(), 4u);
  one.start(cache());
  say(one, "b");
  EXPECT_THAT(one.tokens(), ElementsAre(1, 2, 3, token_of("a"), token_of("b")));
}

TEST_F(SessionTest, EndsAtItsLengthAndWhereTheCacheEnds) {
  Session two = session({.max_tokens = 2});
  two.start(cache());
  say(two, "a");
  say(two, "b");
  EXPECT_EQ(two.phase(), SessionPhase::kDone);
  EXPECT_EQ(two.finish_reason(), FinishReason::kLength);
  EXPECT_EQ(two.answer_tokens(), 2u);

  Session full = session({.max_tokens = 99});
  full.start(cache(4));
  say(full, "a");
  EXPECT_EQ(full.phase(), SessionPhase::kDecode);
  say(full, "b");
  EXPECT_EQ(full.finish_reason(), FinishReason::kLength);

  Session prompt_only = session({.max_tokens = 0});
  prompt_only.start(cache());
  EXPECT_EQ(say(prompt_only, "a").piece.content, "");
  EXPECT_EQ(prompt_only.finish_reason(), FinishReason::kLength);
  EXPECT_EQ(prompt_only.answer_tokens(), 0u);
}

TEST_F(SessionTest, EndsAtAnEndTokenUnlessItIsIgnored) {
  TokenId end = *tokenizer().end_token();
  Session one = session({.max_tokens = 9});
  one.start(cache());
  compute(one);
  EXPECT_TRUE(one.choose(logits_for(end)).tokens.empty());
  EXPECT_EQ(one.finish_reason(), FinishReason::kStop);
  Session other = session({.max_tokens = 9, .ignore_end = true});
  other.start(cache());
  compute(other);
  other.choose(logits_for(end));
  EXPECT_EQ(other.phase(), SessionPhase::kDecode);
  EXPECT_EQ(other.answer_tokens(), 1u);
}

TEST_F(SessionTest, EndsBeforeAStopStringAcrossTokens) {
  Session one = session({.max_tokens = 9, .stop = {"bc"}, .top_logprobs = 1});
  one.start(cache());
  EXPECT_EQ(say(one, "a").piece.content, "a");
  CompletionDelta held = say(one, "b");
  EXPECT_EQ(held.piece.content, "");
  EXPECT_TRUE(held.tokens.empty());
  EXPECT_TRUE(held.logprobs.empty());
  CompletionDelta last = say(one, "c");
  EXPECT_EQ(last.piece.content, "");
  EXPECT_EQ(last.tokens.size(), 2u) << "they were chosen all the same";
  EXPECT_TRUE(last.logprobs.empty()) << "but are no part of the text";
  EXPECT_EQ(one.finish_reason(), FinishReason::kStopString);
  EXPECT_EQ(one.stop_string(), "bc");
}

TEST_F(SessionTest, GivesOutWhatItHeldBackAtTheEnd) {
  Session one = session({.max_tokens = 9, .stop = {"bc"}});
  one.start(cache());
  say(one, "b");
  CompletionDelta rest = one.end(FinishReason::kCancelled);
  EXPECT_EQ(rest.piece.content, "b");
  EXPECT_EQ(rest.tokens.size(), 1u);
  EXPECT_EQ(one.finish_reason(), FinishReason::kCancelled);
  EXPECT_EQ(one.end(FinishReason::kStop).piece.content, "");
  EXPECT_EQ(one.finish_reason(), FinishReason::kCancelled);
}

TEST_F(SessionTest, TellsLogProbabilities) {
  Session one = session({.max_tokens = 9, .top_logprobs = 2});
  one.start(cache());
  CompletionDelta delta = say(one, "a");
  ASSERT_EQ(delta.logprobs.size(), 1u);
  const ChosenLogprob& chosen = delta.logprobs[0];
  double sum = std::exp(5) + engine_.config().vocabulary - 1;
  EXPECT_EQ(chosen.chosen.bytes, "a");
  EXPECT_NEAR(chosen.chosen.logprob, 5 - std::log(sum), 1e-9);
  ASSERT_EQ(chosen.top.size(), 2u);
  EXPECT_EQ(chosen.top[0].bytes, "a");
  EXPECT_NEAR(chosen.top[1].logprob, -std::log(sum), 1e-9);
}

TEST_F(SessionTest, KeepsToItsConstraint) {
  ConstraintSupply supply(&tokenizer(), {});
  const auto constrained = [&](const char* text) {
    auto made = make_answer_grammar(GbnfForm{text}, {});
    CHECK(made.ok());
    return session({.max_tokens = 9,
                    .ignore_end = true,
                    .constraint = supply.make(*made, AnswerEntry::kAnswer)});
  };
  Session one = constrained("root ::= \"a\" [xy]? \"b\"+");
  one.start(cache());
  EXPECT_EQ(say(one, "a").piece.content, "a");
  // It waits, and has to compute everything again: its place in the grammar is that of its tokens.
  one.release();
  one.start(cache());
  compute(one);
  std::vector<float> logits = logits_for(token_of("z"));
  logits[static_cast<size_t>(token_of("y"))] = 2;
  EXPECT_EQ(one.choose(logits).piece.content, "y");
  EXPECT_EQ(say(one, "b").piece.content, "b");
  EXPECT_EQ(one.phase(), SessionPhase::kDecode) << "there may be more";
  compute(one);
  EXPECT_TRUE(one.choose(logits_for(*tokenizer().end_token())).tokens.empty());
  EXPECT_EQ(one.finish_reason(), FinishReason::kStop);

  Session two = constrained("root ::= \"ab\"");
  two.start(cache());
  compute(two);
  two.choose(logits_for(*tokenizer().end_token()));
  EXPECT_EQ(two.phase(), SessionPhase::kDecode) << "it may not end yet";
  say(two, "z");
  EXPECT_EQ(two.phase(), SessionPhase::kDone) << "nothing can follow";
  EXPECT_EQ(two.finish_reason(), FinishReason::kStop);
}

}  // namespace
}  // namespace potluck
