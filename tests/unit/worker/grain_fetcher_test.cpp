// GrainFetcher: single causes, and a property that random courses of events must keep: what is
// wanted is queued, under way at a connected source, or paused; it is counted once; and it is due.
#include "worker/grain_fetcher.h"

#include <map>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/support/numbered_key.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::numbered_key;
using Kind = GrainFetcher::Outcome::Kind;
using Link = FetchSource::Link;

constexpr uint64_t kBytes = 4096;
// Of four parts at first.
constexpr uint64_t kLargeBytes = 56 * kKiB;
constexpr uint64_t kFetchWindow = 16 * kMiB;

MissingGrain grain(uint64_t unit, uint64_t number, uint64_t bytes = kBytes) {
  UnitId id{0, static_cast<uint16_t>(unit), 0};
  Digest digest = sha256(as_bytes(std::to_string(unit) + "/" + std::to_string(number)));
  return {digest, {0, id.expert, static_cast<uint16_t>(number)}, bytes, id};
}

class GrainFetcherTest : public testing::Test {
 protected:
  void list(std::initializer_list<uint8_t> numbers) {
    std::vector<RosterPeer> peers;
    for (uint8_t number : numbers) peers.push_back({numbered_key(number), "tcp://a:1", "w"});
    fetcher.set_roster(peers);
  }
  SourceId source(uint8_t number) { return *fetcher.sources().find(numbered_key(number)); }
  void want(uint64_t unit, uint64_t grains, std::vector<SourceId> holders) {
    for (uint64_t i = 0; i < grains; ++i) fetcher.append(grain(unit, i));
    fetcher.set_holders({0, static_cast<uint16_t>(unit), 0}, holders);
  }
  void connect(uint8_t number) {
    fetcher.on_tick(now);
    fetcher.on_connected(source(number));
    ASSERT_EQ(fetcher.sources().at(source(number)).link, Link::kConnected);
  }
  std::vector<FetchOrder> ask() {
    std::vector<FetchOrder> orders;
    while (auto order = fetcher.next(now, kFetchWindow)) orders.push_back(*order);
    return orders;
  }
  GrainFetcher::Outcome answer(const FetchOrder& order, bool found = true) {
    BulkData data{order.grain.digest, found, 0, found ? kBytes : 0, {}};
    return fetcher.on_data(order.source, data, ByteVector(data.total), now);
  }
  void expect_valid() {
    Status valid = fetcher.validate();
    ASSERT_TRUE(valid) << valid.error().message;
  }

  GrainFetcher fetcher;
  TimePoint now = seconds(100);
};

// A peer that lacks one grain of its only unit still sends the others; if it does not, they are
// fetched elsewhere.
TEST_F(GrainFetcherTest, ANotFoundLeavesTheOtherGrainsDue) {
  list({1});
  want(0, 8, {source(1)});
  connect(1);
  std::vector<FetchOrder> orders = ask();
  ASSERT_EQ(orders.size(), 8u);
  EXPECT_EQ(answer(orders[0], false).kind, Kind::kNotFound);
  fetcher.elsewhere(orders[0].grain.digest);
  fetcher.on_tick(now);
  ASSERT_EQ(ask().size(), 1u);  // of the coordinator
  expect_valid();
  EXPECT_EQ(answer(orders[1]).kind, Kind::kComplete);
  fetcher.stored(orders[1].grain.digest);
  now += PartWindow::kLeastPatience;
  ASSERT_LE(*fetcher.next_tick(), now);
  fetcher.on_tick(now);
  for (const FetchOrder& order : ask()) EXPECT_EQ(order.source, kCoordinatorSource);
  EXPECT_EQ(fetcher.sources().under_way(), 7u);
  expect_valid();
  EXPECT_GT(*fetcher.next_tick(), now);
}

// What is under way at a peer that the next assignment does not name goes on.
TEST_F(GrainFetcherTest, ANewAssignmentWithoutTheHolderLeavesNothingBehind) {
  list({1});
  want(0, 4, {source(1)});
  connect(1);
  std::vector<FetchOrder> orders = ask();
  ASSERT_EQ(orders.size(), 4u);
  fetcher.restart([](MissingGrain*) { return true; });
  want(0, 8, {});
  fetcher.on_tick(now);
  ask();
  expect_valid();
  EXPECT_EQ(answer(orders[2]).kind, Kind::kComplete);
  fetcher.stored(orders[2].grain.digest);
  now += PartWindow::kLeastPatience;
  fetcher.on_tick(now);
  for (const FetchOrder& order : ask()) EXPECT_EQ(order.source, kCoordinatorSource);
  expect_valid();
  EXPECT_GT(*fetcher.next_tick(), now);
}

// The next source is asked for the rest; if the whole is wrong then, neither is to blame.
TEST_F(GrainFetcherTest, WhatHasArrivedStaysWhenTheSourceGoes) {
  list({1});
  fetcher.append(grain(0, 0, kLargeBytes));
  fetcher.set_holders({0, 0, 0}, std::vector{source(1)});
  connect(1);
  FetchOrder first = ask().at(0);
  BulkData data{first.grain.digest, true, 0, kLargeBytes, {}};
  EXPECT_EQ(fetcher.on_data(source(1), data, ByteVector(first.length), now).kind, Kind::kPart);
  fetcher.on_lost(source(1), now);
  std::vector<FetchOrder> rest = ask();
  ASSERT_EQ(rest.at(0).source, kCoordinatorSource);
  EXPECT_EQ(rest[0].offset, first.length);
  expect_valid();
  data.offset = first.length;
  auto whole =
      fetcher.on_data(kCoordinatorSource, data, ByteVector(kLargeBytes - data.offset), now);
  EXPECT_EQ(whole.kind, Kind::kComplete);
  EXPECT_TRUE(whole.mixed);
  fetcher.begin_anew(first.grain.digest);
  EXPECT_EQ(ask().at(0).offset, 0u);
}

// A new assignment goes on with what was begun, wherever that is.
TEST_F(GrainFetcherTest, ANewAssignmentKeepsWhatHasArrived) {
  list({1});
  fetcher.append(grain(0, 0, kLargeBytes));
  fetcher.set_holders({0, 0, 0}, std::vector{source(1)});
  connect(1);
  FetchOrder first = ask().at(0);
  BulkData data{first.grain.digest, true, 0, kLargeBytes, {}};
  EXPECT_EQ(fetcher.on_data(source(1), data, ByteVector(first.length), now).kind, Kind::kPart);
  list({});
  fetcher.restart([](MissingGrain*) { return true; });
  fetcher.append(grain(0, 0, kLargeBytes));
  FetchOrder next = ask().at(0);
  EXPECT_EQ(next.source, kCoordinatorSource);
  EXPECT_EQ(next.offset, first.length);
  expect_valid();
  fetcher.clear();
  expect_valid();
}

// What was asked for and will never come must not stand in the way of what is wanted next.
TEST_F(GrainFetcherTest, PartsOfWhatIsNotWantedAnyMoreAreGivenUpInTheEnd) {
  fetcher.append(grain(0, 0, kLargeBytes));
  while (fetcher.next(now, kFetchWindow)) {
  }
  fetcher.clear();
  want(1, 1, {});
  for (int tries = 0; ask().empty(); ++tries) {
    ASSERT_LT(tries, 3);
    ASSERT_TRUE(fetcher.next_tick().has_value());
    now = *fetcher.next_tick();
    fetcher.on_tick(now);
  }
  expect_valid();
}

TEST_F(GrainFetcherTest, AHolderNamedTwiceCountsOnce) {
  list({1});
  want(0, 2, {source(1), source(1), kCoordinatorSource, 999});
  EXPECT_EQ(fetcher.sources().at(source(1)).units, 1u);
  connect(1);
  std::vector<FetchOrder> orders = ask();
  ASSERT_EQ(orders.size(), 2u);
  for (const FetchOrder& order : orders) {
    answer(order, false);
    fetcher.elsewhere(order.grain.digest);
  }
  EXPECT_TRUE(fetcher.on_tick(now));  // the connection is of no use any more
  EXPECT_EQ(fetcher.sources().at(source(1)).link, Link::kIdle);
  ask();
  expect_valid();
}

TEST_F(GrainFetcherTest, FailuresAreTriedAgainLaterAndLaterAndThenHandedBack) {
  want(0, 1, {});
  Digest digest = grain(0, 0).digest;
  Duration last{0};
  for (uint32_t i = 1; i < GrainFetcher::kTries; ++i) {
    ASSERT_EQ(ask().size(), 1u);
    ASSERT_TRUE(fetcher.failed(digest, now));
    EXPECT_TRUE(ask().empty());
    expect_valid();
    Duration pause = *fetcher.next_tick() - now;
    EXPECT_GT(pause, last);
    last = pause;
    now += pause;
    fetcher.on_tick(now);
  }
  ASSERT_EQ(ask().size(), 1u);
  EXPECT_FALSE(fetcher.failed(digest, now));
  EXPECT_EQ(fetcher.wanted(), 0u);
  EXPECT_FALSE(fetcher.failed(digest, now));  // it is no longer wanted
  fetcher.elsewhere(digest);
  expect_valid();
}

TEST_F(GrainFetcherTest, TakesAPartOfWhatIsMissingAtATime) {
  uint64_t unit = 0;
  for (; fetcher.hungry(); ++unit) want(unit, 8, {});
  EXPECT_EQ(fetcher.wanted(), GrainFetcher::kLookAhead);
  // Nothing but failures: what waits for its next try is bounded, too.
  for (size_t round = 0; round < 20'000 && fetcher.wanted() < GrainFetcher::kMostGrains; ++round) {
    for (const FetchOrder& order : ask()) ASSERT_TRUE(fetcher.failed(order.grain.digest, now));
    for (; fetcher.hungry(); ++unit) want(unit, 8, {});
  }
  EXPECT_FALSE(fetcher.hungry());
  EXPECT_LT(fetcher.wanted(), GrainFetcher::kMostGrains + 8);
  expect_valid();
}

// --- the property ---

class RandomCourse {
 public:
  explicit RandomCourse(uint64_t seed) : random_(seed) {}

  void run(int events) {
    for (int i = 0; i < events; ++i) {
      event();
      settle();
      if (testing::Test::HasFatalFailure()) return;
    }
    // However it went: with a coordinator that answers, everything arrives.
    for (int round = 0; round < 2000 && fetcher_.wanted() > 0; ++round) {
      now_ = std::max(now_, fetcher_.next_tick().value_or(now_));
      settle();
      std::vector<FetchOrder> asked = std::exchange(asked_, {});
      for (const FetchOrder& order : asked) {
        if (order.source == kCoordinatorSource) finish(order);
      }
      settle();
    }
    EXPECT_EQ(fetcher_.wanted(), 0u) << "something was lost for ever";
    EXPECT_EQ(fetcher_.sources().under_way(), 0u);
  }

 private:
  uint64_t pick(uint64_t below) { return random_.bits(position_++) % below; }
  SourceId any_source() { return static_cast<SourceId>(pick(fetcher_.sources().size())); }

  void event() {
    switch (pick(15)) {
      case 0:
        return roster();
      case 1:
      case 2:
        return want();
      case 3:
        return restart();
      case 4:
        return fetcher_.on_lost(worker(), now_);
      case 5:
        return fetcher_.on_refused(worker(), now_);
      case 6:
        return fetcher_.drop(worker());
      case 7:
      case 8:
      case 9:
        return fetcher_.on_connected(worker());
      case 10:
        return fetcher_.ask_again();
      case 11:
        now_ += milliseconds(pick(4000));
        return;
      case 12:
        if (pick(4) == 0) fetcher_.excuse_silence(now_);
        return;
      default:
        return answer();
    }
  }
  SourceId worker() {
    if (fetcher_.sources().size() < 2) roster();
    return static_cast<SourceId>(1 + pick(fetcher_.sources().size() - 1));
  }
  void roster() {
    std::vector<RosterPeer> peers;
    for (uint8_t number = 1; number <= 6; ++number) {
      if (pick(5) == 0 && fetcher_.sources().size() > 1) continue;
      std::string endpoint = pick(6) == 0 ? "" : pick(6) == 0 ? "tcp://b:2" : "tcp://a:1";
      peers.push_back({numbered_key(number), endpoint, "w"});
    }
    fetcher_.set_roster(peers);
  }
  void want() {
    uint64_t unit = pick(12);
    for (uint64_t i = 0; i < 1 + pick(8); ++i)
      fetcher_.append(grain(unit, i, unit % 2 == 0 ? kLargeBytes : kBytes), pick(4) == 0);
    std::vector<SourceId> holders;
    for (uint64_t i = 0; i < pick(4); ++i) holders.push_back(any_source());
    fetcher_.set_holders({0, static_cast<uint16_t>(unit), 0}, holders);
  }
  void restart() {
    if (pick(3) == 0) return fetcher_.clear();
    uint64_t kept = pick(4);
    fetcher_.restart([&](MissingGrain* grain) { return grain->grain.expert % 4 != kept; });
  }
  void finish(const FetchOrder& order) {
    BulkData data{order.grain.digest, true, order.offset, order.grain.bytes, {}};
    auto outcome = fetcher_.on_data(order.source, data, ByteVector(order.length), now_);
    if (outcome.kind == Kind::kComplete) fetcher_.stored(order.grain.digest);
  }
  // One of the answers that are due, or a late one, in one of the ways there are.
  void answer() {
    if (asked_.empty()) return;
    size_t index = pick(asked_.size());
    FetchOrder order = asked_[index];
    if (pick(8) > 0) asked_.erase(asked_.begin() + static_cast<ptrdiff_t>(index));
    if (pick(3) > 0) return finish(order);
    uint64_t how = pick(4);
    uint64_t total = order.grain.bytes + (how == 1 ? 1 : 0);
    BulkData data{order.grain.digest, how != 0, order.offset, total, {}};
    ByteVector part(how == 2 ? order.length / 2 : order.length);
    auto outcome = fetcher_.on_data(order.source, data, part, now_);
    bool peer = order.source != kCoordinatorSource;
    bool over = outcome.kind != Kind::kPart && outcome.kind != Kind::kIgnored;
    if (!over) return;
    if (outcome.kind == Kind::kNotFound && peer) {
      fetcher_.elsewhere(order.grain.digest);
    } else if (outcome.kind == Kind::kBad && peer && pick(4) == 0) {
      fetcher_.drop(order.source);
    } else if (outcome.kind == Kind::kComplete && outcome.mixed) {
      fetcher_.begin_anew(order.grain.digest);
    } else if (outcome.kind == Kind::kComplete && pick(2) == 0) {
      fetcher_.forget(order.grain.digest);
    } else {
      (void)fetcher_.failed(order.grain.digest, now_);
    }
  }
  // What the owner does after every event; then nothing may be lost, and no tick due at once.
  void settle() {
    fetcher_.on_tick(now_);
    while (auto order = fetcher_.next(now_, kFetchWindow)) asked_.push_back(*order);
    Status valid = fetcher_.validate();
    ASSERT_TRUE(valid) << valid.error().message;
    std::optional<TimePoint> next = fetcher_.next_tick();
    ASSERT_TRUE(!next || *next > now_) << "the owner would spin";
  }

  CounterRandom random_;
  uint64_t position_ = 0;
  GrainFetcher fetcher_;
  std::vector<FetchOrder> asked_;
  TimePoint now_ = seconds(100);
};

TEST(GrainFetcherProperty, WhatIsUnderWayIsConnectedAndDueInAnyCourseOfEvents) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomCourse(seed).run(400);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace potluck
