// What predicting the next layer's experts is worth on a trained model, and that asking for it
// changes nothing.
#include "engine/model/expert_prefetch.h"

#include <algorithm>
#include <optional>

#include <gtest/gtest.h>

#include "engine/model/step_run.h"
#include "tests/support/solo_engine.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

const std::string kTaleteller = test::taleteller_path();

// Passes batches on and compares each with what the one before it named.
class Critic final : public ExpertExecutor {
 public:
  Critic(ExpertExecutor& inner, ReadAhead what) : inner_(inner), what_(what) {}

  ReadAhead read_ahead() const override { return what_; }
  Ticket submit(const ExpertBatch& batch, ExpertSums* out) override {
    named += prefetch_.size();
    for (uint32_t expert : prefetch_) {
      named_wrong += std::ranges::find(batch.experts, expert) == batch.experts.end();
    }
    for (uint32_t expert : batch.experts) {
      if (prefetch_.empty()) break;
      ++asked;
      prefetch_right += std::find(prefetch_.begin(), prefetch_.end(), expert) != prefetch_.end();
    }
    prefetch_.assign(batch.prefetch.begin(), batch.prefetch.end());
    longest = std::max(longest, prefetch_.size());
    return inner_.submit(batch, out);
  }
  std::optional<Status> take_completed(Ticket ticket) override {
    return inner_.take_completed(ticket);
  }
  void turn(Duration most) override { inner_.turn(most); }
  void cancel(Ticket ticket) override { inner_.cancel(ticket); }

  uint64_t asked = 0;
  uint64_t prefetch_right = 0;
  uint64_t named = 0;
  uint64_t named_wrong = 0;
  size_t longest = 0;

 private:
  ExpertExecutor& inner_;
  ReadAhead what_;
  std::vector<uint32_t> prefetch_;
};

struct Outcome {
  std::vector<float> logits;
  double recall = 0;
  double wrong = 0;  // share of those named
  size_t longest = 0;
};

// The same tokens every time, `rows_per_step` at once.
Outcome run_prefetch(ReadAhead what, uint32_t tokens, uint32_t rows_per_step) {
  test::SoloEngine engine(kTaleteller, {});
  Critic critic(engine.executor(), what);
  KvCache cache(engine.config(), KvType::kF32, tokens);
  for (uint32_t first = 0; first < tokens; first += rows_per_step) {
    std::vector<ForwardRow> rows;
    for (uint32_t i = first; i < first + rows_per_step; ++i) {
      rows.push_back({static_cast<TokenId>(37 * i + 11), i, &cache, i + 1 == tokens});
    }
    EXPECT_TRUE(run_step(engine.forward(), rows, critic));
  }
  std::span<const float> logits = engine.forward().logits(0);
  double asked = static_cast<double>(std::max<uint64_t>(critic.asked, 1));
  return {{logits.begin(), logits.end()},
          static_cast<double>(critic.prefetch_right) / asked,
          static_cast<double>(critic.named_wrong) /
              static_cast<double>(std::max<uint64_t>(critic.named, 1)),
          critic.longest};
}

TEST(ExpertPrefetch, FindsMostExpertsOfATrainedModel) {
  Outcome prefetch = run_prefetch(ReadAhead::kAll, 48, 1);
  Outcome plain = run_prefetch(ReadAhead::kOff, 48, 1);
  EXPECT_EQ(plain.longest, 0u);
  EXPECT_GT(prefetch.longest, 0u);
  EXPECT_GT(prefetch.recall, 0.5);  // guessing at random finds a sixth
  EXPECT_EQ(prefetch.logits, plain.logits);
}

// What a chunk of a prompt needs is known nearly whole one layer before.
TEST(ExpertPrefetch, FindsWhatManyRowsNeedTogether) {
  Outcome prefetch = run_prefetch(ReadAhead::kAll, 96, 32);
  EXPECT_GT(prefetch.recall, 0.95);
  EXPECT_LT(prefetch.wrong, 0.15);
  EXPECT_EQ(prefetch.logits, run_prefetch(ReadAhead::kOff, 96, 32).logits);
}

// One machine alone: prompts are read ahead for, single tokens are not.
TEST(ExpertPrefetch, NamesOnlyWhatIsSureWhereTheDiskIsNeverIdle) {
  EXPECT_GT(run_prefetch(ReadAhead::kSure, 96, 32).recall, 0.95);
  EXPECT_EQ(run_prefetch(ReadAhead::kSure, 4, 1).longest, 0u);
}

}  // namespace
}  // namespace potluck
