// Listing what a batch asks for.
#include "coordinator/dispatch/row_calls.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/cluster/sample_pool.h"
#include "tests/unit/coordinator/dispatch/sample_work.h"

namespace potluck {
namespace {

using test::NumberedBatch;

TEST(RowCalls, EveryRowNamesItsExpertsSlicesInOrder) {
  Manifest manifest = test::sample_manifest(2, 8);
  NumberedBatch work(manifest, 2, 3, 2);
  const ExpertBatch& batch = work.batch();
  RowCalls calls = {{9, 9, 9, 9}};  // is replaced
  list_calls(batch, *manifest.layer(2), 2, &calls);
  ASSERT_EQ(calls.size(), 12u);
  for (uint32_t i = 0; i < calls.size(); ++i) {
    auto expert = static_cast<uint16_t>(batch.experts[i / 2]);
    RowCall expected{i / 4, expert, static_cast<uint16_t>(i % 2), batch.weights[i / 2]};
    EXPECT_EQ(calls[i], expected) << i;
  }
}

TEST(RowCalls, SlicesWithoutGrainsAreLeftOut) {
  Manifest manifest = test::sample_manifest(1, 8);
  NumberedBatch work(manifest, 0, 1, 1);
  RowCalls calls;
  list_calls(work.batch(), *manifest.layer(0), 12, &calls);
  EXPECT_EQ(calls.size(), 8u);  // as many as there are grains
}

TEST(RowCalls, APrefetchIsOneRowOfTheNextLayer) {
  Manifest manifest = test::sample_manifest(2, 8);
  NumberedBatch work(manifest, 0, 2, 1);
  std::vector<uint32_t> prefetch = {5, 1, 5};
  work.batch().prefetch = prefetch;
  RowCalls calls;
  list_prefetch(work.batch(), *manifest.layer(2), 1, &calls);
  EXPECT_EQ(calls, (RowCalls{{0, 5, 0, 0}, {0, 1, 0, 0}, {0, 5, 0, 0}}));
}

TEST(RowCalls, RowsAreCountedAndFound) {
  RowCalls calls = {{4, 0, 0, 0}, {4, 1, 0, 0}, {7, 0, 0, 0}, {9, 0, 0, 0}, {9, 2, 0, 0}};
  EXPECT_EQ(count_rows(calls), 3u);
  EXPECT_EQ(end_of_row(calls, 0), 2u);
  EXPECT_EQ(end_of_row(calls, 2), 3u);
  EXPECT_EQ(end_of_row(calls, 3), 5u);
  EXPECT_EQ(count_rows({}), 0u);
}

TEST(CallLists, AListThatCameBackIsEmptyAndKeepsItsMemory) {
  CallLists lists;
  EXPECT_EQ(lists.take().capacity(), 0u);
  RowCalls calls(100);
  const RowCall* memory = calls.data();
  lists.give_back(std::move(calls));
  RowCalls again = lists.take();
  EXPECT_TRUE(again.empty());
  EXPECT_EQ(again.data(), memory);
  EXPECT_EQ(lists.take().capacity(), 0u);
}

}  // namespace
}  // namespace potluck
