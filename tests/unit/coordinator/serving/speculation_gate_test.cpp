// When drafting pays, by times that are told.
#include "coordinator/serving/speculation_gate.h"

#include <algorithm>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

using testing::Each;
using testing::ElementsAre;

// A machine whose steps take a millisecond for one row, and so much of it for each further one.
struct Machine {
  double further_row = 0.5;
  double noise = 0;  // of a step's time, up and down

  double step(uint32_t rows, double random) const {
    return 1e6 * (1 + further_row * (rows - 1)) * (1 + noise * (2 * random - 1));
  }
};

// Answers whose drafted tokens are right so often, and are said to be.
struct Text {
  double chance = 0;
  double said = 0;
  uint32_t proposed = 12;
};

class World {
 public:
  World(const Machine& machine, std::vector<Text> texts, uint64_t seed)
      : machine_(machine), texts_(std::move(texts)), random_(seed), tokens_(texts_.size()) {}

  void go_on(uint32_t steps) {
    for (uint32_t i = 0; i < steps; ++i) step();
  }
  void change(std::vector<Text> texts) { texts_ = std::move(texts); }

  // How much faster an answer was than without drafts; the slowest one.
  double least_gain() const {
    const double plain = time_ / machine_.step(static_cast<uint32_t>(texts_.size()), 0.5);
    return *std::min_element(tokens_.begin(), tokens_.end()) / plain;
  }
  uint64_t drafted() const { return drafted_; }
  void begin_again() {
    time_ = 0;
    drafted_ = 0;
    std::fill(tokens_.begin(), tokens_.end(), 0);
  }

 private:
  void step() {
    std::vector<DraftOffer> offers;
    for (const Text& text : texts_) offers.push_back({text.proposed, text.said, Duration(0)});
    const std::vector<uint32_t> drafted = gate_.choose(offers);
    const uint32_t extra = std::accumulate(drafted.begin(), drafted.end(), 0U);
    const auto answers = static_cast<uint32_t>(texts_.size());
    const double time = machine_.step(answers + extra, random_.uniform(++draws_));
    const TimePoint begun{static_cast<int64_t>(now_)};
    now_ += time;
    time_ += time;
    drafted_ += extra;
    for (uint32_t i = 0; i < answers; ++i) {
      uint32_t tokens = 1;
      while (tokens <= drafted[i] && random_.uniform(++draws_) < texts_[i].chance) ++tokens;
      tokens_[i] += tokens;
      gate_.note({answers, answers + extra, tokens, Duration(static_cast<int64_t>(time)),
                  Duration(0), begun});
    }
  }

  Machine machine_;
  std::vector<Text> texts_;
  CounterRandom random_;
  uint64_t draws_ = 0;
  SpeculationGate gate_;
  double now_ = 1;
  double time_ = 0;
  uint64_t drafted_ = 0;
  std::vector<double> tokens_;
};

TEST(SpeculationGate, IsWorthWhileWhereRowsAreCheapAndDraftsRight) {
  // Over a slow link a further row costs next to nothing.
  World link({0.02}, {{0.6, 0.6}}, 1);
  link.go_on(400);
  EXPECT_GT(link.least_gain(), 2.0);
  // On a processor text that repeats itself still pays.
  World processor({0.5}, {{0.98, 0.98}}, 2);
  processor.go_on(400);
  EXPECT_GT(processor.least_gain(), 1.4);
}

TEST(SpeculationGate, NeverCostsMoreThanAFewHundredths) {
  for (double further_row : {0.02, 0.3, 0.6, 1.0, 1.3}) {
    for (double chance : {0.0, 0.2, 0.5, 0.8, 0.95, 1.0}) {
      for (double noise : {0.0, 0.2}) {
        SCOPED_TRACE(testing::Message() << further_row << " " << chance << " " << noise);
        World world({further_row, noise}, {{chance, chance}}, 3);
        world.go_on(600);
        EXPECT_GT(world.least_gain(), 0.97);
      }
    }
  }
}

// What is said of the drafts is wrong.
TEST(SpeculationGate, BelievesTimeMoreThanPromises) {
  World world({0.6}, {{0.0, 0.9}}, 4);
  world.go_on(1000);
  EXPECT_GT(world.drafted(), 0u) << "it was tried";
  EXPECT_GT(world.least_gain(), 0.97);
  // A long success earns no right to a long failure.
  World fallen({0.3}, {{0.95, 0.95}}, 5);
  fallen.go_on(500);
  fallen.change({{0.0, 0.95}});
  fallen.begin_again();
  fallen.go_on(500);
  EXPECT_GT(fallen.least_gain(), 0.96);
}

TEST(SpeculationGate, TriesAgainRarely) {
  World disk({1.0}, {{0.9, 0.9}}, 6);
  disk.go_on(1000);
  disk.begin_again();
  disk.go_on(4000);
  EXPECT_GT(disk.drafted(), 0u);
  EXPECT_LT(disk.drafted(), 100u);
}

// None is slower for the others' sake.
TEST(SpeculationGate, HurtsNoneOfSeveralAnswers) {
  for (double further_row : {0.02, 0.2, 0.5, 1.0}) {
    SCOPED_TRACE(further_row);
    World world({further_row}, {{0.95, 0.95}, {0.0, 0.0, 0}, {0.5, 0.5}}, 7);
    world.go_on(1000);
    EXPECT_GT(world.least_gain(), 0.97);
  }
  World alike({0.05}, {{0.9, 0.9}, {0.9, 0.9}, {0.9, 0.9}}, 8);
  alike.go_on(500);
  EXPECT_GT(alike.least_gain(), 2.0);
}

TEST(SpeculationGate, DraftsNothingBeforeItKnowsAStep) {
  SpeculationGate gate;
  const DraftOffer offers[] = {{12, 1.0, Duration(0)}};
  EXPECT_THAT(gate.choose(offers), ElementsAre(0));
  // A clock that stands still says nothing.
  for (int i = 0; i < 9; ++i) gate.note({1, 1, 1, Duration(0), Duration(0), TimePoint(i)});
  EXPECT_THAT(gate.choose(offers), ElementsAre(0));
  EXPECT_THAT(gate.choose({}), testing::IsEmpty());
}

TEST(SpeculationGate, WithoutTimesItTakesAllThatFits) {
  const DraftOffer few[] = {{3, 0.1, Duration(0)}, {20, 0.1, Duration(0)}};
  EXPECT_THAT(SpeculationGate::choose_all(few), ElementsAre(3, 12));
  const DraftOffer many[] = {{9, 1, Duration(0)}, {9, 1, Duration(0)}, {9, 1, Duration(0)}};
  EXPECT_THAT(SpeculationGate::choose_all(many), ElementsAre(9, 7, 0));
}

TEST(StepTimes, LieOnALineThroughWhatIsKnown) {
  StepTimes times;
  EXPECT_FALSE(times.measured(1));
  for (int i = 0; i < 3; ++i) times.note(1, Duration(1000));
  ASSERT_TRUE(times.measured(1));
  EXPECT_DOUBLE_EQ(times.estimate(1, 3), 2000) << "half of a row for each";
  times.note(5, Duration(1400));
  EXPECT_DOUBLE_EQ(times.estimate(1, 3), 1200);
  EXPECT_DOUBLE_EQ(times.estimate(1, 9), 1800);
  EXPECT_EQ(times.most_known(1), 5u);
  EXPECT_EQ(times.most_known(5), 5u);
  // What was long ago is not known any more.
  for (uint64_t i = 0; i <= StepTimes::kRemembered; ++i) times.note(1, Duration(1000));
  EXPECT_EQ(times.most_known(1), 1u);
  // One that was held up does not count.
  times.note(1, Duration(90000));
  EXPECT_DOUBLE_EQ(*times.measured(1), 1000);
}

}  // namespace
}  // namespace potluck
