#include "protocol/bulk_queue.h"

#include <set>

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "engine/base/random.h"
#include "tests/support/numbered_key.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;
using test::numbered_key;

FetchGrain part(uint8_t grain, uint64_t offset, uint32_t length = 100) {
  Digest digest;
  digest.bytes.fill(grain);
  return {digest, {0, 0, grain}, offset, length};
}

TEST(BulkQueue, PeersTakeTurnsAndEachIsAnsweredInItsOrder) {
  BulkQueue queue;
  for (uint8_t grain = 0; grain < 3; ++grain) queue.add(numbered_key(1), part(grain, 0));
  for (uint8_t grain = 5; grain < 7; ++grain) queue.add(numbered_key(2), part(grain, 0));
  std::vector<uint8_t> order;
  while (auto request = queue.take(TimePoint{0})) order.push_back(request->digest.bytes[0]);
  EXPECT_EQ(order, (std::vector<uint8_t>{0, 5, 1, 6, 2}));
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(queue.next_turn().has_value());
}

TEST(BulkQueue, AskingAgainReplacesTheSameAndLaterParts) {
  BulkQueue queue;
  for (uint64_t offset : {0, 100, 200, 300}) queue.add(numbered_key(1), part(1, offset));
  queue.add(numbered_key(1), part(2, 0));
  queue.add(numbered_key(2), part(1, 300));  // another's are its own
  queue.add(numbered_key(1), part(1, 100, 400));
  std::vector<std::pair<uint64_t, uint32_t>> ranges;
  while (auto request = queue.take(TimePoint{0})) {
    if (request->peer == numbered_key(1) && request->digest.bytes[0] == 1) {
      ranges.emplace_back(request->offset, request->length);
    }
  }
  EXPECT_EQ(ranges, (std::vector<std::pair<uint64_t, uint32_t>>{{0, 100}, {100, 400}}));
}

TEST(BulkQueue, TheNewestRequestsOfAPeerCount) {
  BulkQueue queue;
  for (uint64_t i = 0; i < 1000; ++i) queue.add(numbered_key(1), part(1, i * 100));
  std::vector<uint64_t> offsets;
  while (auto request = queue.take(TimePoint{0})) offsets.push_back(request->offset);
  ASSERT_EQ(offsets.size(), limits::kBulkPartsAsked);
  EXPECT_EQ(offsets.back(), 99'900u);
}

TEST(BulkQueue, APeerWhoseWayIsFullIsPassedOverForAWhile) {
  BulkQueue queue;
  queue.add(numbered_key(1), part(1, 0));
  queue.add(numbered_key(1), part(1, 100));
  queue.add(numbered_key(2), part(2, 0));
  queue.add(numbered_key(2), part(2, 100));
  auto request = queue.take(TimePoint{0});
  ASSERT_EQ(request->peer, numbered_key(1));
  queue.put_back(*request, milliseconds(20));
  EXPECT_EQ(queue.take(TimePoint{0})->peer, numbered_key(2));
  EXPECT_EQ(queue.take(TimePoint{0})->peer, numbered_key(2));
  EXPECT_FALSE(queue.take(TimePoint{0}).has_value());
  EXPECT_FALSE(queue.empty());
  EXPECT_EQ(queue.next_turn(), milliseconds(20));
  EXPECT_EQ(queue.take(milliseconds(20))->offset, 0u);
  EXPECT_EQ(queue.take(milliseconds(20))->offset, 100u);
}

TEST(BulkQueue, ForgettingAPeerLeavesTheOthers) {
  BulkQueue queue;
  for (uint8_t number = 1; number <= 3; ++number) queue.add(numbered_key(number), part(number, 0));
  queue.forget(numbered_key(2));
  queue.forget(numbered_key(9));
  EXPECT_EQ(queue.take(TimePoint{0})->peer, numbered_key(1));
  EXPECT_EQ(queue.take(TimePoint{0})->peer, numbered_key(3));
  EXPECT_TRUE(queue.empty());
}

// Peers that do anything at all: the queue is bounded, every peer gets a turn, nothing is left
// over.
TEST(BulkQueue, HoldsItsBoundsWhateverIsAsked) {
  CounterRandom random(5);
  BulkQueue queue;
  TimePoint now{0};
  std::map<PeerKey, size_t> waiting;
  for (uint64_t i = 0; i < 20'000; ++i) {
    auto number = static_cast<uint8_t>(random.bits(i, 0) % 5);
    uint64_t verb = random.bits(i, 1) % 8;
    if (verb < 4) {
      queue.add(numbered_key(number),
                part(static_cast<uint8_t>(random.bits(i, 2) % 20), random.bits(i, 3) % 10 * 100));
    } else if (verb < 7) {
      auto request = queue.take(now);
      if (request && random.bits(i, 4) % 4 == 0) queue.put_back(*request, now + milliseconds(5));
    } else if (random.bits(i, 5) % 10 == 0) {
      queue.forget(numbered_key(number));
    }
    now += milliseconds(1);
    EXPECT_EQ(queue.empty(), !queue.next_turn().has_value());
  }
  now += milliseconds(10);
  while (auto request = queue.take(now)) ++waiting[request->peer];
  for (const auto& [key, count] : waiting) EXPECT_LE(count, limits::kBulkPartsAsked + 1);
  EXPECT_TRUE(queue.empty());
}

TEST(BulkPart, IsCutToTheWholeAndToTheLimit) {
  ByteVector whole(3 * limits::kBulkPartBytes / 2, std::byte{7});
  BulkRequest request{numbered_key(1), {}, std::nullopt, 0, UINT32_MAX, 0};
  BulkPart first = make_part(request, whole);
  EXPECT_EQ(first.bytes.size(), limits::kBulkPartBytes);
  request.offset = limits::kBulkPartBytes;
  BulkPart second = make_part(request, whole);
  EXPECT_EQ(second.bytes.size(), whole.size() - limits::kBulkPartBytes);
  EXPECT_EQ(second.data.total, whole.size());
  EXPECT_FALSE(make_part(request, {}).data.found);
}

}  // namespace
}  // namespace potluck
