#include "worker/part_window.h"

#include <deque>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A sender behind a link with a delay and a rate, and a receiver that asks for as much as it may.
struct WindowLink {
  Duration delay;
  double bytes_per_second;
  PartWindow window{};
  TimePoint now{0};
  TimePoint free_at{0};
  uint64_t next_offset = 0;
  uint64_t received = 0;
  uint64_t most_under_way = 0;
  struct Part {
    TimePoint due;
    uint64_t offset;
    uint32_t length;
  };
  std::deque<Part> parts{};

  void ask() {
    for (uint32_t room = window.room(); room > 0; room = window.room()) {
      window.asked({}, next_offset, room, now);
      auto carried = Duration(static_cast<int64_t>(room / bytes_per_second * 1e9));
      free_at = std::max(free_at, now + delay) + carried;
      parts.push_back({free_at + delay, next_offset, room});
      next_offset += room;
    }
    most_under_way = std::max(most_under_way, window.under_way());
  }
  void run(Duration time) {
    TimePoint end = now + time;
    for (ask(); !parts.empty() && parts.front().due <= end; ask()) {
      now = parts.front().due;
      EXPECT_LT(now, window.overdue_at());
      EXPECT_TRUE(window.arrived({}, parts.front().offset, parts.front().length, now));
      received += parts.front().length;
      parts.pop_front();
    }
    now = end;
  }
};

TEST(PartWindow, FillsLinksOfEveryKindAndQueuesLittle) {
  for (int64_t delay : {0, 1, 50, 100, 300, 1000}) {
    for (double rate : {8e3, 32e3, 250e3, 2e6, 12e6, 100e6}) {
      WindowLink link{milliseconds(delay), rate};
      link.run(seconds(30));
      uint64_t before = link.received;
      link.run(seconds(60));
      double carried = static_cast<double>(link.received - before) / 60;
      double round_trip = 2 * static_cast<double>(delay) / 1000;
      // As long as the link holds no more than may be under way at all.
      double most = std::min(
          rate, static_cast<double>(PartWindow::kMostCredit) / std::max(round_trip, 0.001));
      EXPECT_GT(carried, 0.8 * most) << delay << " ms, " << rate << " bytes/s";
      double second = rate * std::max(1.0, 4 * round_trip);
      double bound = std::max(1.6 * second, static_cast<double>(PartWindow::kFirstCredit));
      EXPECT_LE(static_cast<double>(link.window.under_way()), bound)
          << delay << " ms, " << rate << " bytes/s";
      EXPECT_LE(link.most_under_way, PartWindow::kMostCredit);
    }
  }
}

TEST(PartWindow, PartsFitTheLink) {
  WindowLink slow{milliseconds(100), 50e3};
  slow.run(seconds(20));
  EXPECT_LE(slow.window.room() == 0 ? 0 : slow.window.room(), 32 * kKiB);
  WindowLink fast{milliseconds(1), 100e6};
  fast.run(seconds(5));
  PartWindow window = fast.window;
  window.reset();
  EXPECT_EQ(window.room(), limits::kBulkPartBytes);
}

TEST(PartWindow, OnlyBytesThatWereAskedForAreProgress) {
  PartWindow window;
  Digest one, other;
  other.bytes.fill(1);
  window.asked(one, 0, 1000, seconds(0));
  TimePoint due = window.overdue_at();
  EXPECT_FALSE(window.arrived(other, 0, 1000, milliseconds(100)));
  EXPECT_FALSE(window.arrived(one, 1, 10, milliseconds(100)));
  EXPECT_FALSE(window.arrived(one, 0, 1001, milliseconds(100)));
  EXPECT_FALSE(window.arrived(one, 0, 0, milliseconds(100)));
  EXPECT_EQ(window.overdue_at(), due);
  EXPECT_EQ(window.under_way(), 1000u);
  EXPECT_TRUE(window.arrived(one, 0, 400, milliseconds(100)));
  EXPECT_FALSE(window.arrived(one, 0, 400, milliseconds(100)));
  EXPECT_EQ(window.overdue_at(), due + milliseconds(100));
  EXPECT_TRUE(window.arrived(one, 400, 600, milliseconds(100)));
  EXPECT_TRUE(window.idle());
  EXPECT_EQ(window.overdue_at(), TimePoint::max());
}

TEST(PartWindow, PatienceFollowsTheLinkAndDoublesWithLossesUpToABound) {
  WindowLink slow{milliseconds(100), 20e3};
  slow.run(seconds(60));
  PartWindow window = slow.window;
  TimePoint now = slow.now;
  EXPECT_GT(window.overdue_at() - now, PartWindow::kLeastPatience);
  Duration last{0};
  for (int i = 0; i < 20; ++i) {
    window.timed_out();
    EXPECT_TRUE(window.idle());
    ASSERT_GT(window.room(), 0u);
    window.asked({}, 0, window.room(), now);
    Duration patience = window.overdue_at() - now;
    EXPECT_GE(patience, last);
    EXPECT_LE(patience, PartWindow::kMostPatience);
    last = patience;
  }
  EXPECT_EQ(last, PartWindow::kMostPatience);
}

TEST(PartWindow, KeepsItsBoundsWhateverComes) {
  CounterRandom random(3);
  PartWindow window;
  TimePoint now{0};
  uint64_t offset = 0;
  for (uint64_t i = 0; i < 20'000; ++i) {
    Digest digest;
    digest.bytes.fill(static_cast<uint8_t>(random.bits(i, 0) % 3));
    switch (random.bits(i, 1) % 6) {
      case 0:
      case 1:
        if (uint32_t room = window.room(); room > 0)
          window.asked(digest, offset += room, room, now);
        break;
      case 2:
      case 3:
        window.arrived(digest, random.bits(i, 2) % 2 == 0 ? offset : random.bits(i, 2),
                       random.bits(i, 3) % (1 << 20), now);
        break;
      case 4:
        if (random.bits(i, 4) % 10 == 0) window.give_up(digest);
        break;
      case 5:
        if (random.bits(i, 5) % 50 == 0) window.timed_out();
        break;
    }
    now += milliseconds(random.bits(i, 6) % 20);
    ASSERT_LE(window.under_way(), PartWindow::kMostCredit);
    ASSERT_EQ(window.idle(), window.under_way() == 0);
    ASSERT_EQ(window.idle(), window.overdue_at() == TimePoint::max());
    ASSERT_TRUE(!window.idle() || window.room() > 0);
    ASSERT_GE(window.bytes_per_second(), 0);
  }
}

}  // namespace
}  // namespace potluck
