#include "engine/base/notice_limiter.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

using std::chrono::milliseconds;

class NoticeLimiterTest : public testing::Test {
 protected:
  ManualClock clock_;
  NoticeLimiter limiter_{clock_};

  // Lines printed while `lines` of them come each millisecond.
  template <class MakeLine>
  uint64_t printed(milliseconds time, int lines, const MakeLine& line) {
    uint64_t count = 0;
    uint64_t number = 0;
    for (milliseconds passed{0}; passed < time; passed += milliseconds(1)) {
      for (int i = 0; i < lines; ++i) count += limiter_.admit(line(number++)) ? 1 : 0;
      count += limiter_.take_summaries().size();
      clock_.advance(milliseconds(1));
    }
    return count;
  }
};

TEST_F(NoticeLimiterTest, OrdinaryLinesPass) {
  clock_.advance(std::chrono::hours(1));
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(limiter_.admit("worker " + std::to_string(i) + " (phone, ABC) joined"));
    EXPECT_TRUE(limiter_.admit("worker " + std::to_string(i) + " (phone, ABC) lost: it left"));
  }
  EXPECT_TRUE(limiter_.take_summaries().empty());
}

TEST_F(NoticeLimiterTest, AFloodOfOneKindLeavesRoomForOthers) {
  auto refused = [](uint64_t i) { return "refused peer K" + std::to_string(i) + ": unknown"; };
  EXPECT_LE(printed(std::chrono::seconds(60), 20, refused), 20u + 60u + 7u);
  EXPECT_TRUE(limiter_.admit("worker 3 (phone, ABC) lost: no sign of life for 5.0 s"));
  clock_.advance(NoticeLimiter::kSummaryInterval);
  (void)limiter_.take_summaries();
  for (uint64_t i = 0; i < 100; ++i) (void)limiter_.admit(refused(i));
  clock_.advance(NoticeLimiter::kSummaryInterval);
  std::vector<std::string> summaries = limiter_.take_summaries();
  ASSERT_EQ(summaries.size(), 1u);
  EXPECT_NE(summaries[0].find("more notices such as \"refused peer unknown ...\" were left out"),
            std::string::npos)
      << summaries[0];
}

TEST_F(NoticeLimiterTest, NamesOfOthersMakeNoKindsOfTheirOwn) {
  auto named = [](uint64_t i) {
    std::string name;
    for (; i > 0; i /= 26) name += static_cast<char>('a' + i % 26);
    return "worker 1 (" + name + ", KEY) greeted again";
  };
  EXPECT_LE(printed(std::chrono::seconds(60), 20, named), 20u + 60u + 7u);
}

TEST_F(NoticeLimiterTest, ManyKindsAreBoundedInAll) {
  auto random = [](uint64_t i) {
    std::string name;
    for (uint64_t rest = i * 2654435761U % 1'000'003; rest > 0; rest /= 26) {
      name += static_cast<char>('a' + rest % 26);
    }
    return name + " did something";
  };
  EXPECT_LE(printed(std::chrono::seconds(60), 20, random), 100u + 600u + 7u * 4);
}

// What is left of an interval counts toward the next one, whenever lines come.
TEST_F(NoticeLimiterTest, OneOfAKindPassesInEachInterval) {
  for (uint32_t i = 0; i < NoticeLimiter::kOfAKind; ++i) ASSERT_TRUE(limiter_.admit("lost"));
  uint64_t admitted = 0;
  for (milliseconds passed{0}; passed < std::chrono::seconds(60); passed += milliseconds(999)) {
    clock_.advance(milliseconds(999));
    admitted += limiter_.admit("lost") ? 1 : 0;
  }
  EXPECT_GE(admitted, 60u);
}

TEST_F(NoticeLimiterTest, AQuietTimeAddsNothingToWhatPassesAtOnce) {
  for (int round = 0; round < 3; ++round) {
    clock_.advance(milliseconds(100'999));
    uint32_t admitted = 0;
    for (int i = 0; i < 100; ++i) admitted += limiter_.admit("lost") ? 1 : 0;
    EXPECT_EQ(admitted, NoticeLimiter::kOfAKind);
    clock_.advance(milliseconds(1));
    EXPECT_FALSE(limiter_.admit("lost"));
  }
}

TEST_F(NoticeLimiterTest, SummariesAreFew) {
  for (const char* kind : {"a", "b", "c", "d", "e"}) {
    for (uint32_t i = 0; i < NoticeLimiter::kInAll; ++i) (void)limiter_.admit(kind);
  }
  clock_.advance(NoticeLimiter::kSummaryInterval);
  const std::vector<std::string> summaries = limiter_.take_summaries();
  ASSERT_EQ(summaries.size(), 4u);
  EXPECT_EQ(summaries[3], "160 notices of other kinds were left out");
}

}  // namespace
}  // namespace potluck
