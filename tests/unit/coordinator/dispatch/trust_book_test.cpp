#include "coordinator/dispatch/trust_book.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

using test::peer;

TEST(TrustBook, ANewWorkersAnswersAreAllCompared) {
  TrustBook book(VerifyMode::kSample, 1);
  for (uint64_t i = 0; i < TrustBook::kProbation; ++i) {
    EXPECT_TRUE(book.on_probation(peer(1)));
    EXPECT_EQ(book.check_rate(peer(1)), 1);
    EXPECT_TRUE(book.wants_check(peer(1)));
    book.found_right(peer(1));
  }
  EXPECT_FALSE(book.on_probation(peer(1)));
  book.found_right(peer(1));
  EXPECT_EQ(book.check_rate(peer(1)), 10.0 / 11);
  EXPECT_EQ(book.check_rate(peer(2)), 1);
}

TEST(TrustBook, TheRateFallsToAFloorAndAWrongAnswerBeginsAnew) {
  TrustBook book(VerifyMode::kSample, 1);
  for (int i = 0; i < 50; ++i) book.found_right(peer(1));
  EXPECT_EQ(book.check_rate(peer(1)), 0.2);
  for (int i = 0; i < 1000; ++i) book.found_right(peer(1));
  EXPECT_EQ(book.check_rate(peer(1)), TrustBook::kLeastRate);
  book.found_wrong(peer(1));
  EXPECT_EQ(book.check_rate(peer(1)), 1);
  TrustRecord record = book.record(peer(1));
  EXPECT_EQ(record.valid, 0u);
  EXPECT_EQ(record.compared, 1051u);
  EXPECT_EQ(record.mismatches, 1u);
}

TEST(TrustBook, DrawsComeAtTheRateAndFromTheSeed) {
  auto draws = [](uint64_t seed) {
    TrustBook book(VerifyMode::kSample, seed);
    for (int i = 0; i < 20; ++i) book.found_right(peer(1));
    std::vector<bool> drawn;
    for (int i = 0; i < 20'000; ++i) drawn.push_back(book.wants_check(peer(1)));
    return drawn;
  };
  std::vector<bool> first = draws(1);
  EXPECT_NEAR(static_cast<double>(std::count(first.begin(), first.end(), true)), 10'000, 500);
  EXPECT_EQ(first, draws(1));
  EXPECT_NE(first, draws(2));
}

// One that flips a bit in one of a hundred answers is found within some hundred of them: after as
// many, half of all such liars are.
TEST(TrustBook, ARareLiarIsFoundWithinHundreds) {
  std::vector<int> found;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    TrustBook book(VerifyMode::kSample, seed);
    CounterRandom lies(seed + 1000);
    int messages = 0;
    for (bool caught = false; !caught; ++messages) {
      if (!book.wants_check(peer(1))) continue;
      caught = lies.bits(static_cast<uint64_t>(messages)) % 100 == 0;
      if (!caught) book.found_right(peer(1));
    }
    found.push_back(messages);
  }
  std::sort(found.begin(), found.end());
  EXPECT_LT(found[100], 400);
  EXPECT_LT(found[180], 6000);
}

TEST(TrustBook, ModesThatDrawNothing) {
  TrustBook all(VerifyMode::kAll, 1);
  TrustBook off(VerifyMode::kOff, 1);
  for (int i = 0; i < 1000; ++i) {
    all.found_right(peer(1));
    off.found_right(peer(1));
    EXPECT_TRUE(all.wants_check(peer(1)));
    EXPECT_FALSE(off.wants_check(peer(1)));
  }
}

TEST(TrustBook, KeysComeAndGoAndTheBookIsBounded) {
  TrustBook book(VerifyMode::kSample, 1);
  auto key = [](size_t number) {
    PeerKey made = peer(9);
    made.bytes[1] = static_cast<uint8_t>(number);
    made.bytes[2] = static_cast<uint8_t>(number >> 8);
    return made;
  };
  for (size_t i = 0; i < 2 * TrustBook::kRecordsKept; ++i) book.found_right(key(i));
  book.forget_others([&](const PeerKey& worker) { return worker == key(5); });
  EXPECT_EQ(book.record(key(5)).valid, 1u);
  EXPECT_EQ(book.record(key(6)).valid, 0u);
}

}  // namespace
}  // namespace potluck
