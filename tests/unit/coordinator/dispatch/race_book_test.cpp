#include "coordinator/dispatch/race_book.h"

#include <gtest/gtest.h>

#include "protocol/packed_sums.h"
#include "tests/unit/coordinator/cluster/sample_pool.h"
#include "tests/unit/coordinator/dispatch/sample_work.h"

namespace potluck {
namespace {

using test::NumberedBatch;
using test::peer;
using test::sample_manifest;

constexpr uint32_t kPieceHidden = 64;

Claim claim_of(uint8_t worker, RowCalls calls, const std::vector<int64_t>& values) {
  Claim claim{peer(worker), std::move(calls), {}, {}};
  claim.flags.assign(values.size(), 0);
  std::vector<int64_t> sums;
  for (int64_t value : values) sums.insert(sums.end(), kPieceHidden, value);
  pack_sums(sums, &claim.packed);
  return claim;
}

// Rows 3, 5 and 6 of a batch of eight, each with the experts 0 and 1.
struct SampleRace {
  SampleRace() : manifest(sample_manifest(1, 8, kPieceHidden)), work(manifest, 0, 8, 2) {
    for (uint32_t row : {3u, 5u, 6u}) {
      for (uint16_t expert = 0; expert < 2; ++expert) race.calls.push_back({row, expert, 0, 1});
    }
    race.input = PieceInput::copy_of(work.batch(), race.calls);
    race.batch = race.input.batch();
  }
  RowCalls calls(std::vector<uint32_t> rows, std::vector<uint16_t> experts) const {
    RowCalls list;
    for (uint32_t row : rows) {
      for (uint16_t expert : experts) list.push_back({row, expert, 0, 1});
    }
    return list;
  }

  Manifest manifest;
  NumberedBatch work;
  Race race;
};

TEST(RaceBook, APieceHasACopyOfItsRows) {
  SampleRace s;
  EXPECT_EQ(s.race.input.rows, (std::vector<uint32_t>{3, 5, 6}));
  EXPECT_EQ(s.race.batch.tokens(), 3u);
  EXPECT_EQ(s.race.batch.input.values[0], 4.0F);  // as NumberedBatch numbers them
  EXPECT_EQ(s.race.batch.input.values[kPieceHidden], 6.0F);
  EXPECT_EQ(s.race.batch.fraction_bits[2], 16);
  RowCalls renamed = s.race.input.renamed(s.race.calls);
  EXPECT_EQ(renamed.front().row, 0u);
  EXPECT_EQ(renamed.back().row, 2u);
}

// Two workers that say it together differ from one in the rows in which their sum differs.
TEST(RaceBook, SidesAreComparedAsAWhole) {
  SampleRace s;
  Side alone{SideState::kComplete, true, 0, {}};
  alone.claims.push_back(claim_of(1, s.calls({0, 1, 2}, {0, 1}), {10, 20, 30}));
  Side together{SideState::kComplete, true, 0, {}};
  together.claims.push_back(claim_of(2, s.calls({0, 1, 2}, {0}), {4, 5, 6}));
  together.claims.push_back(claim_of(3, s.calls({0, 1, 2}, {1}), {6, 15, 25}));
  EXPECT_EQ(differing_rows(s.race, alone, together), std::vector<uint32_t>{2});
  together.claims[0].flags[1] = 1;
  EXPECT_EQ(differing_rows(s.race, alone, together), (std::vector<uint32_t>{1, 2}));
}

TEST(RaceBook, ASampleIsComparedInItsRows) {
  SampleRace s;
  Side alone{SideState::kComplete, true, 0, {}};
  alone.claims.push_back(claim_of(1, s.calls({0, 1, 2}, {0, 1}), {10, 20, 30}));
  Side sample{SideState::kComplete, false, 0, {}};
  sample.claims.push_back(claim_of(2, s.calls({1}, {0, 1}), {20}));
  EXPECT_TRUE(differing_rows(s.race, alone, sample).empty());
  sample.claims[0] = claim_of(2, s.calls({1}, {0, 1}), {21});
  EXPECT_EQ(differing_rows(s.race, alone, sample), std::vector<uint32_t>{1});
}

TEST(RaceBook, AClaimIsTrueIfItIsWhatWasComputed) {
  SampleRace s;
  s.race.sides.push_back({SideState::kComplete, true, 0, {}});
  s.race.sides[0].claims.push_back(claim_of(1, s.calls({0, 2}, {0}), {10, 30}));
  OwnCheck check;
  check.rows = {0, 1};
  OwnCheck::Job job;
  job.truth.reset(3, kPieceHidden);
  std::fill_n(job.truth.sums.begin(), kPieceHidden, 10);
  // Row 1 is not its own, and row 2 was not computed.
  EXPECT_TRUE(claim_is_true(s.race, check, job));
  job.truth.sums[5] = 11;
  EXPECT_FALSE(claim_is_true(s.race, check, job));
}

TEST(RaceBook, RacesGoByNumbersAndTakeABoundedRoom) {
  RaceBook book;
  SampleRace s;
  uint64_t number = book.open(std::move(s.race));
  ASSERT_NE(book.find(number), nullptr);
  EXPECT_EQ(book.find(number + 1), nullptr);
  EXPECT_EQ(book.find(0), nullptr);
  EXPECT_TRUE(book.has_room());
  Race& race = *book.find(number);
  EXPECT_EQ(race.batch.input.values[0], 4.0F);
  race.sides.push_back({});
  race.sides[0].claims.push_back({});
  race.sides[0].claims[0].packed.resize(RaceBook::kMostBytes);
  EXPECT_FALSE(book.has_room());
  book.close(number);
  EXPECT_TRUE(book.has_room());
}

}  // namespace
}  // namespace potluck
