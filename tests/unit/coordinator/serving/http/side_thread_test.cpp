#include "coordinator/serving/http/side_thread.h"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(SideThread, DoesOneAfterTheOther) {
  SideThread side;
  std::vector<int> done;
  std::promise<void> last;
  EXPECT_TRUE(side.run([&] { done.push_back(1); }));
  EXPECT_TRUE(side.run([&] { done.push_back(2); }));
  EXPECT_TRUE(side.run([&] { last.set_value(); }));
  last.get_future().wait();
  EXPECT_THAT(done, testing::ElementsAre(1, 2));
}

TEST(SideThread, TakesSoMuchAndNoMore) {
  std::promise<void> begun;
  std::promise<void> go_on;
  std::atomic<int> done = 0;
  {
    SideThread side;
    EXPECT_TRUE(side.run([&] {
      begun.set_value();
      go_on.get_future().wait();
      ++done;
    }));
    begun.get_future().wait();
    for (size_t i = 0; i < SideThread::kMostWaiting; ++i) EXPECT_TRUE(side.run([&] { ++done; }));
    EXPECT_FALSE(side.run([&] { ++done; }));
    go_on.set_value();
  }
  EXPECT_GE(done, 1);  // what waited may go with it
  EXPECT_LE(done, 1 + static_cast<int>(SideThread::kMostWaiting));
}

}  // namespace
}  // namespace potluck
