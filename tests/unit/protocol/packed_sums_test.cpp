#include "protocol/packed_sums.h"

#include <limits>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin64 = std::numeric_limits<int64_t>::min();

// The format as its description reads, one bit at a time.
ByteVector packed_bit_by_bit(const std::vector<int64_t>& sums) {
  ByteVector out;
  for (size_t begin = 0; begin < sums.size(); begin += 32) {
    size_t count = std::min<size_t>(32, sums.size() - begin);
    int width = 0;
    for (size_t i = 0; i < count; ++i) {
      int needed = sums[begin + i] == 0 ? 0 : 1;
      while (needed > 0 && needed < 64 &&
             (sums[begin + i] < -(int64_t{1} << (needed - 1)) ||
              sums[begin + i] > (int64_t{1} << (needed - 1)) - 1)) {
        ++needed;
      }
      width = std::max(width, needed);
    }
    out.push_back(static_cast<std::byte>(width));
    std::vector<bool> bits;
    for (size_t i = 0; i < count; ++i) {
      for (int b = 0; b < width; ++b) {
        bits.push_back((static_cast<uint64_t>(sums[begin + i]) >> b & 1) != 0);
      }
    }
    for (size_t bit = 0; bit < bits.size(); bit += 8) {
      int byte = 0;
      for (size_t b = bit; b < std::min(bit + 8, bits.size()); ++b) byte |= bits[b] << (b - bit);
      out.push_back(static_cast<std::byte>(byte));
    }
  }
  return out;
}

ByteVector packed(const std::vector<int64_t>& sums) {
  ByteVector out;
  pack_sums(sums, &out);
  return out;
}

// Values that need up to `width` bits of two's complement, the extremes among them.
std::vector<int64_t> values_of_width(uint32_t width, size_t count, uint64_t seed) {
  CounterRandom random(seed);
  std::vector<int64_t> values(count);
  for (size_t i = 0; i < count; ++i) {
    auto wide = static_cast<int64_t>(random.bits(i));
    values[i] = width == 0 ? 0 : wide >> (64 - width);
  }
  if (width > 0 && count > 2) {
    values[1] = kMin64 >> (64 - width);
    values[2] = kNoLimit >> (64 - width);
  }
  return values;
}

TEST(PartialSums, EveryWidthAndLengthIsLossless) {
  for (uint32_t width = 0; width <= 64; ++width) {
    for (size_t count : {size_t{0}, size_t{1}, size_t{3}, size_t{31}, size_t{32}, size_t{33},
                         size_t{64}, size_t{100}}) {
      SCOPED_TRACE("width " + std::to_string(width) + ", " + std::to_string(count) + " values");
      std::vector<int64_t> values = values_of_width(width, count, width);
      if (width == 64 && count > 2) values[1] = -kNoLimit;  // the one value beyond every limit
      ByteVector frame = packed(values);
      ASSERT_EQ(frame, packed_bit_by_bit(values));
      std::vector<int64_t> sums(count, 0);
      ASSERT_TRUE(add_packed_sums(frame, kNoLimit, sums).ok());
      EXPECT_EQ(sums, values);
    }
  }
}

TEST(PartialSums, SingleValuesTakeTheirExactWidth) {
  struct Case {
    int64_t value;
    uint32_t width;
  };
  for (Case c : {Case{0, 0}, Case{-1, 1}, Case{1, 2}, Case{-2, 2}, Case{2, 3}, Case{-3, 3},
                 Case{127, 8}, Case{-128, 8}, Case{128, 9}, Case{kNoLimit, 64}, Case{kMin64, 64}}) {
    ByteVector frame = packed({c.value});
    EXPECT_EQ(std::to_integer<uint32_t>(frame[0]), c.width) << c.value;
    EXPECT_EQ(frame.size(), 1 + (c.width + 7) / 8);
  }
}

TEST(PartialSums, AppendsToWhatIsThere) {
  ByteVector out(3, std::byte{9});
  pack_sums(std::vector<int64_t>{5}, &out);
  pack_sums(std::vector<int64_t>{}, &out);
  EXPECT_EQ(out,
            (ByteVector{std::byte{9}, std::byte{9}, std::byte{9}, std::byte{4}, std::byte{5}}));
}

TEST(PartialSums, AddsOntoWhatIsThere) {
  std::vector<int64_t> sums = {10, -20, 30};
  ASSERT_TRUE(add_packed_sums(packed({1, 2, -3}), kNoLimit, sums).ok());
  EXPECT_EQ(sums, (std::vector<int64_t>{11, -18, 27}));
}

TEST(PartialSums, RandomMagnitudesAreLossless) {
  constexpr uint64_t kSeed = 7;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  CounterRandom random(kSeed);
  for (uint64_t round = 0; round < 200; ++round) {
    std::vector<int64_t> values(random.bits(round) % 5000);
    for (size_t i = 0; i < values.size(); ++i) {
      auto wide = static_cast<int64_t>(random.bits(round, 2 * i + 1));
      values[i] = wide >> (1 + random.bits(round, 2 * (i / 32) + 2) % 62);
    }
    ByteVector frame = packed(values);
    std::vector<int64_t> sums(values.size(), 0);
    ASSERT_TRUE(add_packed_sums(frame, kNoLimit, sums).ok());
    ASSERT_EQ(sums, values);
  }
}

// --- hostile frames ------------------------------------------------------------------------------

void expect_sums_refused(ByteSpan frame, int64_t limit, size_t count) {
  std::vector<int64_t> sums(count, 42);
  Status status = add_packed_sums(frame, limit, sums);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(sums, std::vector<int64_t>(count, 42)) << "touched in spite of the error";
}

TEST(PartialSums, EveryTruncationIsRefused) {
  std::vector<int64_t> values = values_of_width(23, 70, 3);
  ByteVector frame = packed(values);
  for (size_t size = 0; size < frame.size(); ++size) {
    expect_sums_refused(ByteSpan(frame).first(size), kNoLimit, values.size());
  }
}

TEST(PartialSums, AnythingBehindTheValuesIsRefused) {
  ByteVector frame = packed({1, 2, 3});
  frame.push_back(std::byte{0});
  expect_sums_refused(frame, kNoLimit, 3);
  expect_sums_refused(packed({0}), kNoLimit, 0);
}

TEST(PartialSums, WrongCountsAreRefused) {
  ByteVector frame = packed(std::vector<int64_t>(40, 1000));
  expect_sums_refused(frame, kNoLimit, 32);
  expect_sums_refused(frame, kNoLimit, 39);
  expect_sums_refused(frame, kNoLimit, 41);
  expect_sums_refused(frame, kNoLimit, 72);
}

TEST(PartialSums, ImpossibleWidthsAreRefused) {
  for (int width = 65; width < 256; ++width) {
    ByteVector frame(1 + 32 * 32, std::byte{0});
    frame[0] = static_cast<std::byte>(width);
    expect_sums_refused(ByteSpan(frame).first(1 + 4 * static_cast<size_t>(width)), kNoLimit, 32);
  }
}

TEST(PartialSums, BitsBehindTheLastValueMustBeZero) {
  ByteVector frame = packed({3});  // three bits of one byte
  frame[1] |= std::byte{0x08};
  expect_sums_refused(frame, kNoLimit, 1);
}

TEST(PartialSums, ValuesBeyondTheLimitAreRefused) {
  for (int64_t limit : {int64_t{0}, int64_t{1}, int64_t{1000}, int64_t{1} << 46, kNoLimit - 1}) {
    for (size_t at : {size_t{0}, size_t{31}, size_t{32}, size_t{39}}) {
      for (int64_t sign : {-1, 1}) {
        std::vector<int64_t> values(40, 0);
        values[at] = sign * limit;
        std::vector<int64_t> sums(40, 0);
        EXPECT_TRUE(add_packed_sums(packed(values), limit, sums).ok()) << values[at];
        values[at] = sign * (limit + 1);
        expect_sums_refused(packed(values), limit, 40);
      }
    }
  }
  expect_sums_refused(packed({kMin64}), kNoLimit, 1);
}

TEST(PartialSums, RandomFramesAreHarmless) {
  constexpr uint64_t kSeed = 11;
  constexpr int64_t kLimit = int64_t{1} << 40;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  CounterRandom random(kSeed);
  for (uint64_t round = 0; round < 5000; ++round) {
    std::vector<int64_t> values =
        values_of_width(static_cast<uint32_t>(random.bits(round) % 41), 1 + round % 90, round);
    ByteVector frame = packed(values);
    for (uint64_t a = 0; a < 1 + round % 3; ++a) {
      frame[random.bits(round, 2 * a + 1) % frame.size()] =
          static_cast<std::byte>(random.bits(round, 2 * a + 2) & 0xff);
    }
    std::vector<int64_t> sums(values.size(), 0);
    if (!add_packed_sums(frame, kLimit, sums).ok()) {
      EXPECT_EQ(sums, std::vector<int64_t>(values.size(), 0));
      continue;
    }
    for (int64_t sum : sums) ASSERT_LE(std::abs(sum), kLimit);
  }
}

}  // namespace
}  // namespace potluck
