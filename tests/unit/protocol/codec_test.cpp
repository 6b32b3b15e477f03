#include "protocol/codec.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "tests/unit/protocol/sample_messages.h"

namespace potluck {
namespace {

TEST(Codec, EveryMessageComesBackAsItWas) {
  for (const Message& message : sample_messages()) {
    SCOPED_TRACE(message_name(message));
    auto decoded = decode_header(encode_header(message));
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    EXPECT_TRUE(*decoded == message);
    EXPECT_EQ(broken_limit(*decoded), "");
  }
}

// Encoding aborts if it needs a second segment: lists and texts that end anywhere in a word.
TEST(Codec, HeadersOfAnyLengthAreOneSegment) {
  for (uint16_t n = 0; n < 70; ++n) {
    std::string text(n, 'x');
    std::vector<UnitId> units(n, UnitId{1, 2, 0});
    std::vector<std::vector<uint16_t>> holders(n, std::vector<uint16_t>(n % 3, 5));
    WorkId work{1, 2, 3, 4};
    std::vector<ComputeRow> rows(n + 1, ComputeRow{3, std::vector<UnitCall>(n % 5 + 1)});
    std::vector<KernelDigest> kernels;
    for (uint32_t i = 0; i < n; ++i) kernels.push_back({KernelPart{i}, {}});
    std::vector<ProductSpeed> products;
    for (uint32_t i = 0; i < n; ++i) products.push_back({TensorType{i}, i, i});
    for (const Message& message : std::initializer_list<Message>{
             Hello{3, 1, kernels, text, text, 0, 0, ""},
             Refusal{RefusalReason::kFull, text},
             Assignment{1, 2, 1, units, 3, holders},
             Residency{1, 2, units, units},
             Compute{work, 1, ActivationForm::kF32, 1, rows, units},
             Partial{work, PartialStatus::kOk, std::vector<uint8_t>(n), units, {}, 0, text},
             Goodbye{1, text},
             JoinRequest{{}, text},
             JoinAccept{"tcp://a:1",
                        "tcp://a:" + std::to_string(n + 1),
                        {},
                        {n % 9U, {"tcp://a:1", "tcp://" + text + "b:2", "tcp://c:3"}}},
             PairRequest{{}, text},
             PairChallenge{{}, text},
             Roster{1, 2, std::vector<RosterPeer>(n, {{}, "", text})},
             SourceReport{1, 2, 3, std::vector<PeerSource>(n)},
             HealthReport{1, 50, text},
             DeviceSpeed{1, 2, 3, products},
         }) {
      SCOPED_TRACE(message_name(message) + std::to_string(n));
      auto decoded = decode_header(encode_header(message));
      ASSERT_TRUE(decoded.ok()) << decoded.error().message;
      EXPECT_TRUE(*decoded == message);
    }
  }
}

TEST(Codec, SamplesHoldEveryKindOfMessage) {
  std::vector<bool> seen(std::variant_size_v<Message>);
  for (const Message& message : sample_messages()) seen[message.index()] = true;
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), seen.size());
}

TEST(Codec, EveryMessageHasItsOwnName) {
  EXPECT_STREQ(message_name(Hello{}), "Hello");
  EXPECT_STREQ(message_name(Partial{}), "Partial");
  EXPECT_STREQ(message_name(JoinAccept{}), "JoinAccept");
}

TEST(Codec, HeadersDecodeAtAnyAlignment) {
  Message message = Goodbye{7, "a header that begins at an odd address"};
  ByteVector header = encode_header(message);
  for (size_t offset = 0; offset < 8; ++offset) {
    ByteVector shifted(offset);
    shifted.insert(shifted.end(), header.begin(), header.end());
    auto decoded = decode_header(ByteSpan(shifted).subspan(offset));
    ASSERT_TRUE(decoded.ok());
    EXPECT_TRUE(*decoded == message);
  }
}

TEST(Codec, ComputeHeadersAreSmall) {
  Compute compute;
  compute.columns = 2048;
  compute.rows = {{10, {{1, 0, 0.5F}, {2, 0, 0.25F}}}};
  // One token of two experts: what it costs per layer and worker beside some 2 KiB of activations.
  EXPECT_LE(encode_header(compute).size(), 200u);
}

TEST(Codec, TextsAreCutAndCleanedOnTheWayOut) {
  std::string text(limits::kTextBytes + 100, 'a');
  text[0] = '\x1b';
  text[limits::kTextBytes - 1] = '\xc3';  // a character that the cut would split
  text[limits::kTextBytes] = '\xbc';
  auto decoded = decode_header(encode_header(Goodbye{1, text}));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  std::string expected = "?" + std::string(limits::kTextBytes - 2, 'a');
  EXPECT_EQ(std::get<Goodbye>(*decoded).text, expected);
}

// The schema's field is of 32 bits.
TEST(Codec, ACountThatDoesNotFitBecomesTheLargestThatDoes) {
  Partial partial;
  partial.timings.cache_hits = uint64_t{1} << 32;
  partial.timings.disk_bytes = uint64_t{1} << 32;
  auto decoded = decode_header(encode_header(partial));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  const WorkCounters& work = std::get<Partial>(*decoded).timings;
  EXPECT_EQ(work.cache_hits, std::numeric_limits<uint32_t>::max());
  EXPECT_EQ(work.disk_bytes, uint64_t{1} << 32);
}

// --- checksum ------------------------------------------------------------------------------------

TEST(Codec, ChecksumDependsOnEverythingItCovers) {
  WorkId work{1, 2, 3, 4};
  std::vector<uint8_t> flags = {0, 1};
  ByteVector tensor(100, std::byte{5});
  uint64_t sum = checksum_of(work, flags, tensor);
  EXPECT_EQ(checksum_of(work, flags, tensor), sum);
  for (WorkId other :
       {WorkId{2, 2, 3, 4}, WorkId{1, 3, 3, 4}, WorkId{1, 2, 4, 4}, WorkId{1, 2, 3, 5}}) {
    EXPECT_NE(checksum_of(other, flags, tensor), sum);
  }
  EXPECT_NE(checksum_of(work, std::vector<uint8_t>{0, 0}, tensor), sum);
  EXPECT_NE(checksum_of(work, std::vector<uint8_t>{0}, tensor), sum);
  EXPECT_NE(checksum_of(work, flags, ByteSpan(tensor).first(99)), sum);
  for (size_t bit = 0; bit < tensor.size() * 8; ++bit) {
    tensor[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_NE(checksum_of(work, flags, tensor), sum) << "bit " << bit;
    tensor[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
}

TEST(Codec, ChecksumOfNothingIsDefined) {
  EXPECT_EQ(checksum_of({}, {}, {}), checksum_of({}, {}, {}));
  EXPECT_NE(checksum_of({}, {}, {}), checksum_of({1, 0, 0, 0}, {}, {}));
}

// --- activations ---------------------------------------------------------------------------------

ActivationBuffer sample_activations(ActivationForm form, uint32_t tokens, uint32_t columns) {
  ActivationBuffer buffer;
  buffer.reset(form, tokens, columns);
  CounterRandom random(99);
  if (form == ActivationForm::kF32) {
    for (size_t i = 0; i < buffer.values().size(); ++i) {
      buffer.values()[i] = static_cast<float>(random.uniform(i)) - 0.5F;
    }
    return buffer;
  }
  for (size_t i = 0; i < buffer.quants().size(); ++i) {
    buffer.quants()[i] = static_cast<int8_t>(static_cast<int>(random.bits(i) % 255) - 127);
  }
  for (size_t i = 0; i < buffer.scales().size(); ++i) {
    buffer.scales()[i] = static_cast<float>(random.uniform(i, 1));
  }
  buffer.compute_sums();
  return buffer;
}

struct Shape {
  ActivationForm form;
  uint32_t columns;
};
constexpr Shape kShapes[] = {{ActivationForm::kF32, 7},
                             {ActivationForm::kF32, 256},
                             {ActivationForm::kQ8Block32, 32},
                             {ActivationForm::kQ8Block32, 70},
                             {ActivationForm::kQ8Block256, 512}};

TEST(Codec, ActivationsComeBackInTheOrderOfTheRows) {
  const std::vector<uint32_t> rows = {4, 0, 2, 2};
  for (const Shape& shape : kShapes) {
    ActivationBuffer source = sample_activations(shape.form, 5, shape.columns);
    ByteVector frame = pack_activations(source.view(), rows);
    ASSERT_EQ(frame.size(), rows.size() * activation_wire_bytes(shape.form, shape.columns));
    ActivationBuffer target;
    target.reset(ActivationForm::kF32, 3, 900);  // what was there before does not matter
    ASSERT_TRUE(unpack_activations(frame, shape.form, 4, shape.columns, &target).ok());
    ASSERT_EQ(target.view().tokens, 4u);
    for (uint32_t i = 0; i < rows.size(); ++i) {
      ActivationView want = source.view().token_range(rows[i], 1);
      ActivationView have = target.view().token_range(i, 1);
      if (shape.form == ActivationForm::kF32) {
        EXPECT_EQ(std::memcmp(want.values, have.values, shape.columns * sizeof(float)), 0);
        continue;
      }
      uint32_t padded = want.padded_columns();
      EXPECT_EQ(std::memcmp(want.quants, have.quants, padded), 0);
      EXPECT_EQ(std::memcmp(want.scales, have.scales, want.scales_per_token() * sizeof(float)), 0);
      for (uint32_t s = 0; s < padded / 16; ++s) {
        int sum = 0;
        for (uint32_t j = 0; j < 16; ++j) sum += want.quants[16 * s + j];
        EXPECT_EQ(have.sums[s], sum);
      }
    }
  }
}

TEST(Codec, ActivationFramesOfAnyOtherLengthAreRefused) {
  for (const Shape& shape : kShapes) {
    ActivationBuffer source = sample_activations(shape.form, 2, shape.columns);
    ByteVector frame = pack_activations(source.view(), std::vector<uint32_t>{0, 1});
    ActivationBuffer target;
    for (size_t size = 0; size < frame.size(); ++size) {
      Status status =
          unpack_activations(ByteSpan(frame).first(size), shape.form, 2, shape.columns, &target);
      ASSERT_FALSE(status.ok());
      EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
    }
    frame.push_back(std::byte{0});
    EXPECT_FALSE(unpack_activations(frame, shape.form, 2, shape.columns, &target).ok());
  }
}

TEST(Codec, ShapesBeyondTheLimitsAreRefused) {
  ActivationBuffer target;
  Status rows =
      unpack_activations({}, ActivationForm::kF32, limits::kRowsPerMessage + 1, 0, &target);
  EXPECT_FALSE(rows.ok());
  Status columns = unpack_activations({}, ActivationForm::kF32, 0, limits::kHidden + 1, &target);
  EXPECT_FALSE(columns.ok());
  ByteVector frame(activation_wire_bytes(ActivationForm::kQ8Block256, 300));
  EXPECT_FALSE(unpack_activations(frame, ActivationForm::kQ8Block256, 1, 300, &target).ok());
}

TEST(Codec, QuantsThatNoQuantizerMakesAreRefused) {
  for (uint32_t position = 0; position < 64; ++position) {
    ActivationBuffer source = sample_activations(ActivationForm::kQ8Block32, 1, 64);
    source.quants()[position] = -128;
    ByteVector frame = pack_activations(source.view(), std::vector<uint32_t>{0});
    ActivationBuffer target;
    Status status = unpack_activations(frame, ActivationForm::kQ8Block32, 1, 64, &target);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  }
}

TEST(Codec, ScalesThatAreNotNumbersPass) {
  // The quantizer marks a block with values that are not finite so; the sums flag it later.
  ActivationBuffer source = sample_activations(ActivationForm::kQ8Block32, 1, 32);
  source.scales()[0] = std::numeric_limits<float>::quiet_NaN();
  ByteVector frame = pack_activations(source.view(), std::vector<uint32_t>{0});
  ActivationBuffer target;
  ASSERT_TRUE(unpack_activations(frame, ActivationForm::kQ8Block32, 1, 32, &target).ok());
  EXPECT_TRUE(std::isnan(target.scales()[0]));
}

}  // namespace
}  // namespace potluck
