#include "coordinator/plan/expert_use.h"

#include <gtest/gtest.h>

#include "tests/unit/coordinator/cluster/sample_pool.h"

namespace potluck {
namespace {

TEST(ExpertUse, CountsByLayer) {
  ExpertUse use(test::sample_manifest(2, 4));
  const uint32_t experts[] = {1, 3, 1, 99};
  use.used(0, experts);
  use.used(1, experts);  // no layer of this model
  ASSERT_EQ(use.counts(0).size(), 4u);
  EXPECT_EQ(use.counts(0)[1], 2u);
  EXPECT_EQ(use.counts(0)[3], 1u);
  EXPECT_EQ(use.counts(2)[1], 0u);
  EXPECT_TRUE(use.counts(1).empty());
}

TEST(ExpertUse, OldUsesCountLess) {
  ExpertUse use(test::sample_manifest(1, 2));
  const uint32_t first[] = {0};
  const uint32_t second[] = {1};
  for (int i = 0; i < 8191; ++i) use.used(0, first);
  for (int i = 0; i < 8000; ++i) use.used(0, second);
  EXPECT_LT(use.counts(0)[0], use.counts(0)[1]);
}

}  // namespace
}  // namespace potluck
