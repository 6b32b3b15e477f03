// An engine that a thread of its own runs, and those who wait for it.
#include "coordinator/serving/engine_thread.h"

#include <gtest/gtest.h>

#include "coordinator/serving/engine_setup.h"
#include "coordinator/serving/generator.h"
#include "engine/base/random.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

class EngineThreadTest : public testing::Test {
 protected:
  EngineThreadTest() : storage_(make_system_storage()) {
    RuntimeOptions options;
    options.model_path = test::taleteller_path();
    options.context = 2048;
    options.logit_rows = 16;
    options.system = &system_files();
    auto opened = Runtime::open(options, *storage_, clock_, entropy_, nullptr);
    CHECK(opened.ok());
    runtime_ = std::move(*opened);
    engine_ = make_engine(*runtime_, nullptr, {});
  }

  static GenerationRequest request(bool engine_runs, uint32_t tokens = 12) {
    GenerationRequest made;
    made.max_tokens = tokens;
    made.sampling.seed = 5;
    made.ignore_end = true;
    made.engine_runs = engine_runs;
    return made;
  }

  std::vector<TokenId> tokens_of(const std::string& prompt, bool engine_runs) {
    auto answer =
        generate(*engine_, prompt, request(engine_runs), [](const AnswerPiece&) { return true; });
    CHECK(answer.ok());
    return answer->result.tokens;
  }

  std::unique_ptr<Storage> storage_;
  SystemClock clock_;
  SystemEntropy entropy_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<CompletionEngine> engine_;
};

TEST_F(EngineThreadTest, SeveralWhoWaitGetWhatTheyGetAlone) {
  const std::vector<std::string> prompts{"The sea", "An old man had a dog", "Once"};
  std::vector<std::vector<TokenId>> alone;
  for (const std::string& prompt : prompts) alone.push_back(tokens_of(prompt, false));
  std::vector<std::vector<TokenId>> together(prompts.size());
  {
    auto running = EngineThread::start(engine_.get());
    ASSERT_TRUE(running.ok());
    std::vector<std::thread> waiting;
    for (size_t i = 0; i < prompts.size(); ++i) {
      waiting.emplace_back([&, i] { together[i] = tokens_of(prompts[i], true); });
    }
    for (std::thread& thread : waiting) thread.join();
  }
  EXPECT_EQ(together, alone);
  // The engine can be run by hand again.
  EXPECT_EQ(tokens_of(prompts[0], false), alone[0]);
}

TEST_F(EngineThreadTest, PiecesComeInTheThreadThatWaits) {
  auto running = EngineThread::start(engine_.get());
  ASSERT_TRUE(running.ok());
  const auto here = std::this_thread::get_id();
  std::string text;
  auto answer = generate(*engine_, "The sea", request(true), [&](const AnswerPiece& piece) {
    EXPECT_EQ(std::this_thread::get_id(), here);
    text += piece.content;
    return true;
  });
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->text.content, text);
  EXPECT_EQ(answer->result.finish_reason, "length");
}

TEST_F(EngineThreadTest, WhoWaitsMayEndIt) {
  auto running = EngineThread::start(engine_.get());
  ASSERT_TRUE(running.ok());
  int pieces = 0;
  auto enough = generate(*engine_, "The sea", request(true, 2000),
                         [&](const AnswerPiece&) { return ++pieces < 3; });
  ASSERT_TRUE(enough.ok());
  EXPECT_EQ(enough->result.finish_reason, "stop");
  EXPECT_LT(enough->result.tokens.size(), 2000U);

  std::atomic<bool> cancel{false};
  GenerationRequest asked = request(true, 2000);
  asked.cancel = &cancel;
  auto cancelled = generate(*engine_, "The sea", asked, [&](const AnswerPiece&) {
    cancel = true;
    return true;
  });
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->result.finish_reason, "interrupted");
  EXPECT_LT(cancelled->result.tokens.size(), 2000U);
}

TEST_F(EngineThreadTest, ErrorsReachWhoWaits) {
  auto running = EngineThread::start(engine_.get());
  ASSERT_TRUE(running.ok());
  std::string prompt;
  for (int i = 0; i < 3000; ++i) prompt += " sea";
  auto answer = generate(*engine_, prompt, request(true), [](const AnswerPiece&) { return true; });
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kLimit);
}

}  // namespace
}  // namespace potluck
