#include "engine/experts/grain_compute.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(PartialSums, AddsTouchedRowsAndFlags) {
  ExpertSums out;
  out.reset(3, 2);
  out.sums = {1, 2, 3, 4, 5, 6};
  PartialSums part;
  for (int round = 0; round < 2; ++round) {  // the second starts over with the same memory
    part.begin(3, 2);
    part.row(1)[0] += 10;
    part.row(1)[1] += 20;
    part.row(2)[1] += 30;
    part.set_flag(2);
  }
  for (uint32_t row = 0; row < 3; ++row) part.add_row_to(row, &out);
  EXPECT_EQ(out.sums, (std::vector<int64_t>{1, 2, 13, 24, 5, 36}));
  EXPECT_EQ(out.flags, (std::vector<uint8_t>{0, 0, 1}));
}

TEST(PartialSums, WritesInPlaceForOneThread) {
  ExpertSums out;
  out.reset(2, 2);
  out.sums = {1, 2, 3, 4};
  PartialSums part;
  part.begin(2, 2);
  part.begin_in(&out, 2);
  part.row(1)[0] += 10;
  part.set_flag(0);
  for (uint32_t row = 0; row < 2; ++row) part.add_row_to(row, &out);  // nothing left to add
  EXPECT_EQ(out.sums, (std::vector<int64_t>{1, 2, 13, 4}));
  EXPECT_EQ(out.flags, (std::vector<uint8_t>{1, 0}));
}

TEST(ShapeTables, HoldEveryGrainAndChunk) {
  const ExpertShape shape{64,    2048, TensorType::kQ8_0, TensorType::kQ8_0, TensorType::kQ8_0,
                          false, {}};
  ShapeTables tables(shape);
  EXPECT_EQ(tables.plan.chunks_per_grain, 2u);
  EXPECT_EQ(tables.layouts.size(), tables.plan.grains);
  ASSERT_EQ(tables.down_chunks.size(), tables.plan.chunks);
  for (uint32_t chunk = 0; chunk < tables.plan.chunks; ++chunk) {
    EXPECT_EQ(tables.down_chunks[chunk].first_column, chunk * tables.plan.chunk_width);
  }
}

}  // namespace
}  // namespace potluck
