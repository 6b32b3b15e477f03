#include "worker/fetch_sources.h"

#include <gtest/gtest.h>

#include "tests/support/numbered_key.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::numbered_key;
using Link = FetchSource::Link;

constexpr uint64_t kWindow = 16 * kMiB;

class FetchSourcesTest : public testing::Test {
 protected:
  static Digest digest(uint8_t number) {
    Digest digest;
    digest.bytes.fill(number);
    return digest;
  }
  void list(std::initializer_list<uint8_t> numbers) {
    std::vector<RosterPeer> peers;
    for (uint8_t number : numbers) peers.push_back({numbered_key(number), "tcp://a:1", "w"});
    sources.set_roster(peers);
  }
  // Connected, and wanted for one unit.
  SourceId connect(uint8_t number) {
    SourceId id = *sources.find(numbered_key(number));
    sources.add_unit(id);
    sources.update_links(now);
    sources.on_connected(id);
    EXPECT_EQ(sources.at(id).link, Link::kConnected);
    return id;
  }
  std::optional<SourceId> choose(std::vector<SourceId> holders, uint64_t bytes = kMiB) {
    return sources.choose(holders, bytes, kWindow, sources.share_of(kWindow));
  }

  FetchSources sources;
  TimePoint now = seconds(100);
};

TEST_F(FetchSourcesTest, TheCoordinatorIsForWhatNobodyHolds) {
  list({1, 2});
  SourceId first = connect(1);
  EXPECT_EQ(choose({}), kCoordinatorSource);
  EXPECT_EQ(choose({first}), first);
}

TEST_F(FetchSourcesTest, LoadSpreadsOverTheHolders) {
  list({1, 2, 3});
  std::vector<SourceId> holders = {connect(1), connect(2), connect(3)};
  std::map<SourceId, int> asked;
  for (uint8_t i = 0; i < 12; ++i) {
    auto id = choose(holders);
    ASSERT_TRUE(id.has_value());
    sources.take(*id, digest(i), kMiB, now);
    ++asked[*id];
  }
  for (SourceId id : holders) EXPECT_EQ(asked[id], 4);
}

TEST_F(FetchSourcesTest, WindowsAreBoundedInGrainsAndInBytes) {
  list({1});
  SourceId id = connect(1);
  for (uint8_t i = 0; i < FetchSources::kWindowGrains; ++i) {
    EXPECT_EQ(choose({id}, 4096), id);
    sources.take(id, digest(i), 4096, now);
  }
  EXPECT_EQ(choose({id}, 4096), std::nullopt);  // waits; the coordinator is not bothered
  for (uint8_t i = 0; i < FetchSources::kWindowGrains; ++i) sources.release(id, digest(i));
  sources.take(id, digest(1), kWindow, now);
  EXPECT_EQ(choose({id}, 1), std::nullopt);
  EXPECT_FALSE(sources.any_room(kWindow, sources.share_of(kWindow)));
  sources.release(id, digest(1));
  EXPECT_EQ(choose({id}, 2 * kWindow), id);  // one grain always goes
  EXPECT_EQ(sources.under_way(), 0u);
  EXPECT_EQ(sources.under_way_bytes(), 0u);
}

TEST_F(FetchSourcesTest, AConnectionIsWaitedForOnce) {
  list({1});
  SourceId id = *sources.find(numbered_key(1));
  sources.add_unit(id);
  EXPECT_TRUE(sources.update_links(now));
  EXPECT_EQ(sources.at(id).link, Link::kConnecting);
  EXPECT_EQ(choose({id}), std::nullopt);
  now += FetchSources::kPatience;
  EXPECT_EQ(sources.next_tick(), now);
  EXPECT_TRUE(sources.update_links(now));
  EXPECT_EQ(sources.at(id).link, Link::kIdle);
  EXPECT_EQ(choose({id}), kCoordinatorSource);
  now = *sources.next_tick();
  sources.update_links(now);
  EXPECT_EQ(sources.at(id).link, Link::kConnecting);
  EXPECT_EQ(choose({id}), kCoordinatorSource);  // it had its chance
  sources.on_connected(id);
  EXPECT_EQ(choose({id}), id);
}

TEST_F(FetchSourcesTest, ARefusalIsTriedAgainWhileThereIsHope) {
  list({1});
  SourceId id = *sources.find(numbered_key(1));
  sources.add_unit(id);
  sources.update_links(now);
  TimePoint start = now;
  while (choose({id}) == std::nullopt) {
    sources.on_refused(id, now);
    EXPECT_EQ(sources.at(id).link, Link::kIdle);
    now = *sources.next_tick();
    sources.update_links(now);
    ASSERT_LE(now, start + FetchSources::kPatience);
  }
  EXPECT_EQ(now, start + FetchSources::kPatience);
  EXPECT_EQ(choose({id}), kCoordinatorSource);
}

TEST_F(FetchSourcesTest, PausesGrowWithFailuresAndEnd) {
  list({1});
  SourceId id = connect(1);
  Duration last{0};
  for (int i = 0; i < 12; ++i) {
    sources.pause(id, now);
    Duration pause = sources.at(id).not_before - now;
    EXPECT_GE(pause, last);
    EXPECT_LE(pause, FetchSources::kLongestPause);
    last = pause;
  }
  EXPECT_EQ(last, FetchSources::kLongestPause);
}

TEST_F(FetchSourcesTest, SilenceAndSlownessAreOverdue) {
  list({1});
  SourceId id = connect(1);
  sources.take(id, digest(1), kMiB, now);
  PartWindow& window = sources.window(id);
  window.asked(digest(1), 0, 8192, now);
  EXPECT_TRUE(sources.overdue(now + PartWindow::kLeastPatience - milliseconds(1)).empty());
  EXPECT_EQ(sources.overdue(now + PartWindow::kLeastPatience), std::vector{id});
  TimePoint start = now;
  Duration longest = FetchSources::kSlowest + seconds(kMiB / FetchSources::kLeastBytesPerSecond);
  for (uint64_t offset = 0; now < start + longest; offset += 10, now += seconds(1)) {
    EXPECT_TRUE(sources.overdue(now).empty());
    EXPECT_TRUE(window.arrived(digest(1), offset, 10, now));  // a few bytes come now and then
  }
  EXPECT_EQ(sources.overdue(now), std::vector{id});
}

TEST_F(FetchSourcesTest, WhoIsGoneOrDroppedOrServesNobodyIsNotAsked) {
  list({1, 2});
  SourceId first = connect(1);
  SourceId second = connect(2);
  sources.drop(first);
  EXPECT_EQ(choose({first, second}), second);
  sources.take(second, digest(2), kMiB, now);
  list({1});
  EXPECT_EQ(sources.take_returned(), std::vector{digest(2)});
  EXPECT_EQ(choose({first, second}), kCoordinatorSource);
  sources.set_roster({{numbered_key(3), "", "phone"}});
  SourceId phone = *sources.find(numbered_key(3));
  sources.add_unit(phone);
  EXPECT_EQ(choose({phone}), kCoordinatorSource);
  list({1, 2, 3});
  EXPECT_EQ(*sources.find(numbered_key(2)), second);  // numbers stay
}

// Every way in which a connection ends, with two grains under way.
struct End {
  const char* name;
  void (*apply)(FetchSources& sources, SourceId id, TimePoint now);
};

class EndedLink : public FetchSourcesTest, public testing::WithParamInterface<End> {};

TEST_P(EndedLink, ReturnsWhatWasUnderWay) {
  list({1, 2});
  SourceId id = connect(1);
  sources.take(id, digest(1), kMiB, now);
  sources.take(id, digest(2), 2 * kMiB, now);
  sources.window(id).asked(digest(1), 0, 8192, now);
  ASSERT_TRUE(sources.validate());
  GetParam().apply(sources, id, now);
  EXPECT_EQ(sources.take_returned(), (std::vector{digest(1), digest(2)}));
  EXPECT_EQ(sources.under_way(), 0u);
  EXPECT_EQ(sources.under_way_bytes(), 0u);
  EXPECT_NE(sources.at(id).link, Link::kConnected);
  EXPECT_TRUE(sources.at(id).window.idle());
  Status valid = sources.validate();
  EXPECT_TRUE(valid) << valid.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    All, EndedLink,
    testing::Values(End{"Paused",
                        [](FetchSources& all, SourceId id, TimePoint at) { all.pause(id, at); }},
                    End{"Refused", [](FetchSources& all, SourceId id,
                                      TimePoint at) { all.on_refused(id, at); }},
                    End{"Dropped", [](FetchSources& all, SourceId id, TimePoint) { all.drop(id); }},
                    End{"GoneFromTheRoster",
                        [](FetchSources& all, SourceId, TimePoint) { all.set_roster({}); }},
                    End{"AtAnotherEndpoint",
                        [](FetchSources& all, SourceId id, TimePoint) {
                          all.set_roster({{all.at(id).key, "tcp://b:2", "w"}});
                        }},
                    End{"AtNoEndpoint",
                        [](FetchSources& all, SourceId id, TimePoint) {
                          all.set_roster({{all.at(id).key, "", "w"}});
                        }}),
    [](const auto& end) { return end.param.name; });

// It may send what it was asked for, although it is asked for nothing more.
TEST_F(FetchSourcesTest, AConnectionLastsAsLongAsSomethingIsUnderWay) {
  list({1});
  SourceId id = connect(1);
  sources.take(id, digest(1), kMiB, now);
  EXPECT_FALSE(sources.validate());  // no part of it was asked for
  sources.window(id).asked(digest(1), 0, 8192, now);
  sources.remove_unit(id);
  sources.update_links(now);
  EXPECT_EQ(sources.at(id).link, Link::kConnected);
  EXPECT_TRUE(sources.validate());
  EXPECT_EQ(sources.overdue(now + PartWindow::kLeastPatience), std::vector{id});
  sources.release(id, digest(1));
  // Parts that are still on their way are due, although nothing needs them any more.
  EXPECT_EQ(sources.overdue(now + PartWindow::kLeastPatience), std::vector{id});
  EXPECT_TRUE(sources.update_links(now));
  EXPECT_EQ(sources.at(id).link, Link::kIdle);
  EXPECT_TRUE(sources.at(id).window.idle());
}

}  // namespace
}  // namespace potluck
