#include "engine/experts/segment_space.h"

#include <vector>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

constexpr uint32_t kFew = 16;  // pages

TEST(SegmentSpace, FollowsTheLastRun) {
  SegmentSpace space;
  EXPECT_EQ(space.allocate(kFew), std::nullopt);
  space.release({3, 0, kSegmentPages});
  EXPECT_EQ(space.allocate(kFew), (PageRun{3, 0, kFew}));
  EXPECT_EQ(space.allocate(1), (PageRun{3, kFew, 1}));
  space.release({1, 0, kSegmentPages});  // longer than what is left of the other
  EXPECT_EQ(space.allocate(kFew), (PageRun{3, kFew + 1, kFew}));
}

TEST(SegmentSpace, TakesTheLongestHoleAndNoShortOnes) {
  SegmentSpace space;
  space.release({0, 100, 1023});
  space.release({0, 5000, 1024});
  space.release({0, 9000, 1500});
  EXPECT_EQ(space.allocate(1400), (PageRun{0, 9000, 1400}));
  EXPECT_EQ(space.allocate(1000), (PageRun{0, 5000, 1000}));
  EXPECT_EQ(space.allocate(1000), std::nullopt) << "a new segment is better";
  space.reuse_every_hole();
  EXPECT_EQ(space.allocate(1000), (PageRun{0, 100, 1000}));
  EXPECT_EQ(space.allocate(1000), std::nullopt);
}

TEST(SegmentSpace, JoinsNeighborsWithinASegment) {
  SegmentSpace space;
  space.reuse_every_hole();
  space.release({0, kSegmentPages - 10, 10});
  space.release({1, 0, 10});
  space.release({1, 20, 10});
  EXPECT_EQ(space.allocate(11), std::nullopt);
  space.release({1, 10, 10});
  EXPECT_EQ(space.allocate(30), (PageRun{1, 0, 30}));
}

// Against a map of every page.
TEST(SegmentSpace, NeverGivesAPageTwice) {
  CounterRandom random(1);
  SegmentSpace space;
  space.reuse_every_hole();
  constexpr uint32_t kPages = 300;
  std::vector<bool> taken(kPages);
  space.release({0, 0, kPages});
  std::vector<PageRun> held;
  for (uint64_t step = 0; step < 5000; ++step) {
    if (random.bits(step, 0) % 2 == 0 || held.empty()) {
      uint32_t pages = 1 + static_cast<uint32_t>(random.bits(step, 1) % 20);
      auto run = space.allocate(pages);
      if (!run) continue;
      ASSERT_EQ(run->pages, pages);
      ASSERT_LE(run->end(), kPages);
      for (uint32_t page = run->page; page < run->end(); ++page) {
        ASSERT_FALSE(taken[page]);
        taken[page] = true;
      }
      held.push_back(*run);
    } else {
      std::swap(held[random.bits(step, 2) % held.size()], held.back());
      PageRun run = held.back();
      held.pop_back();
      for (uint32_t page = run.page; page < run.end(); ++page) taken[page] = false;
      space.release(run);
    }
  }
  for (const PageRun& run : held) space.release(run);
  EXPECT_EQ(space.allocate(kPages), (PageRun{0, 0, kPages}));
}

}  // namespace
}  // namespace potluck
