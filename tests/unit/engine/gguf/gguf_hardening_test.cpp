// Files that no honest writer would write: each must end in an error that names the file, the key
// or tensor, what was expected and what was found. Meant to run under the sanitizers as well.
#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "engine/base/memory_storage.h"
#include "engine/base/random.h"
#include "engine/gguf/gguf.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/gguf_touch.h"
#include "tests/support/temporary_directory.h"

namespace potluck {
namespace {

using test::Bytes;
using test::GgufBuilder;
using test::GgufBytes;

constexpr uint64_t kMinusOne = UINT64_MAX;

Result<GgufModel> open_hostile(const Bytes& bytes) {
  MemoryStorage storage;
  EXPECT_TRUE(storage.write_atomic("bad.gguf", bytes).ok());
  return GgufModel::open(storage, "bad.gguf");
}

// Expects an error of the code, with the file's name and `part` in its message.
void expect_error(const Bytes& bytes, ErrorCode code, const std::string& part) {
  auto model = open_hostile(bytes);
  ASSERT_FALSE(model.ok()) << "expected an error with: " << part;
  EXPECT_EQ(model.error().code, code) << model.error().message;
  EXPECT_NE(model.error().message.find("bad.gguf: "), std::string::npos) << model.error().message;
  EXPECT_NE(model.error().message.find(part), std::string::npos) << model.error().message;
}

void expect_corrupt(const GgufBuilder& builder, const std::string& part) {
  expect_error(builder.build(), ErrorCode::kCorrupt, part);
}

// A small file with something of every kind.
GgufBuilder small_valid() {
  GgufBuilder builder;
  builder.text("general.architecture", "test").value<uint32_t>("u", 1).value<double>("d", 2);
  builder.value<bool>("b", true).array<std::string>("words", {"a", "bc"});
  builder.array<int16_t>("numbers", {1, 2, 3}).array<bool>("flags", {true, false});
  builder.alignment(16).floats("a", {2, 2}, {1, 2, 3, 4}).floats("b", {3}, {5, 6, 7});
  return builder;
}

GgufBytes pair(const std::string& key, uint32_t type) {
  GgufBytes bytes;
  bytes.put(key).put(type);
  return bytes;
}

GgufBytes array_pair(uint32_t element_type, uint64_t count) {
  GgufBytes bytes = pair("k", test::gguf_type::kArray);
  bytes.put(element_type).put(count);
  return bytes;
}

GgufBuilder with_pair(const GgufBytes& bytes) {
  GgufBuilder builder;
  builder.text("first", "1").raw_pair(bytes.bytes()).text("room", std::string(1000, 'x'));
  return builder;
}

GgufBuilder with_tensor(uint32_t type, std::vector<uint64_t> dimensions, uint64_t offset = 0) {
  GgufBuilder builder;
  builder.floats("first", {1}, {1});
  builder.tensor({"t", type, std::move(dimensions), Bytes(4096), offset});
  return builder;
}

TEST(GgufHardening, TheSmallFileIsValid) {
  auto model = open_hostile(small_valid().build());
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_GT(test::touch(*model), 0u);
}

TEST(GgufHardening, TruncatedAtEveryByte) {
  Bytes whole = small_valid().build();
  for (size_t size = 0; size < whole.size(); ++size) {
    auto model = open_hostile(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)));
    ASSERT_FALSE(model.ok()) << "cut to " << size << " bytes of " << whole.size();
    EXPECT_EQ(model.error().code, ErrorCode::kCorrupt) << model.error().message;
    EXPECT_EQ(model.error().message.find("bad.gguf: "), 0u) << model.error().message;
  }
}

// Every flipped bit gives an error, or a model that can be used without harm.
TEST(GgufHardening, EveryBitFlipped) {
  Bytes whole = small_valid().build();
  int errors = 0;
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes damaged = whole;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    auto model = open_hostile(damaged);
    if (model.ok()) {
      test::touch(*model);
    } else {
      ++errors;
      ASSERT_FALSE(model.error().message.empty());
    }
  }
  EXPECT_GT(errors, 1000);
}

// The extremes of every 32-bit and 64-bit field, wherever it may stand.
TEST(GgufHardening, EveryPositionOverwrittenWithExtremes) {
  Bytes whole = small_valid().build();
  for (uint64_t extreme : {uint64_t{0}, kMinusOne, uint64_t{1} << 63, (uint64_t{1} << 63) - 1,
                           uint64_t{1} << 32, uint64_t{0xffffffff}, uint64_t{0x80000000}}) {
    for (size_t width : {4, 8}) {
      for (size_t at = 0; at + width <= whole.size(); ++at) {
        Bytes damaged = whole;
        std::memcpy(damaged.data() + at, &extreme, width);
        auto model = open_hostile(damaged);
        if (model.ok()) test::touch(*model);
      }
    }
  }
}

TEST(GgufHardening, RandomGarbageAfterAValidPreamble) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    GgufBytes bytes;
    Bytes garbage(400);
    SeededEntropy(seed).fill(garbage);
    bytes.raw("GGUF", 4).put<uint32_t>(3).put<uint64_t>(seed % 3).put<uint64_t>(seed % 5).raw(
        garbage);
    auto model = open_hostile(bytes.bytes());
    if (model.ok()) test::touch(*model);
  }
}

TEST(GgufHardening, WrongMagic) {
  expect_corrupt(GgufBuilder().magic("FUGG"), "expected it to start with \"GGUF\", found \"FUGG\"");
  expect_corrupt(GgufBuilder().magic("ggjt"), "not a GGUF file");
  expect_corrupt(GgufBuilder().magic(std::string_view("\0\x1b[2", 4)), "\\x00\\x1b[2");
}

TEST(GgufHardening, WrongVersions) {
  for (uint32_t version : {0u, 1u, 4u, 1000u, UINT32_MAX, 0x00030001u}) {
    expect_error(GgufBuilder().version(version).build(), ErrorCode::kUnsupported,
                 "expected GGUF version 2 or 3, found " + std::to_string(version));
  }
  for (uint32_t version : {0x02000000u, 0x03000000u}) {
    expect_error(GgufBuilder().version(version).build(), ErrorCode::kUnsupported, "big-endian");
  }
}

TEST(GgufHardening, CountsBeyondTheFile) {
  for (uint64_t count : {uint64_t{1000}, uint64_t{1} << 40, uint64_t{1} << 63, kMinusOne}) {
    std::string text = std::to_string(count);
    expect_corrupt(small_valid().claim_tensors(count), "expected " + text + " tensors");
    expect_corrupt(small_valid().claim_pairs(count), "expected " + text + " metadata pairs");
  }
  expect_corrupt(small_valid().claim_tensors(3), "bad.gguf: ");
  expect_corrupt(small_valid().claim_pairs(9), "bad.gguf: ");
}

TEST(GgufHardening, KeysOfImpossibleLength) {
  for (uint64_t length : {kMinusOne, uint64_t{1} << 63, uint64_t{100'000}}) {
    GgufBytes bytes;
    bytes.put(length).raw("key", 3).put(test::gguf_type::kUint32).put<uint32_t>(1);
    expect_corrupt(with_pair(bytes), "key 2 of 3: truncated: ");
  }
  expect_corrupt(with_pair(pair("", test::gguf_type::kUint8).put<uint8_t>(1)),
                 "key 2 of 3 is empty");
  std::string long_key(limits::kNameBytes + 1, 'k');
  expect_error(with_pair(pair(long_key, test::gguf_type::kUint8).put<uint8_t>(1)).build(),
               ErrorCode::kLimit, "expected a text of at most 640 bytes, found 641");
}

TEST(GgufHardening, DuplicateKeys) {
  GgufBuilder builder;
  builder.value<uint32_t>("a", 1).value<uint32_t>("b", 2).text("a", "x");
  expect_corrupt(builder, "key \"a\" appears twice");
}

TEST(GgufHardening, BadValueTypes) {
  for (uint32_t type : {13u, 100u, UINT32_MAX}) {
    expect_corrupt(with_pair(pair("k", type).put<uint64_t>(0)), "key \"k\": expected a value type");
    expect_corrupt(with_pair(array_pair(type, 1).put<uint64_t>(0)),
                   "key \"k\": expected a value type");
  }
  expect_corrupt(with_pair(pair("k", test::gguf_type::kBool).put<uint8_t>(2)),
                 "key \"k\": expected a boolean 0 or 1, found 2");
  expect_corrupt(with_pair(array_pair(test::gguf_type::kBool, 2).put<uint8_t>(1).put<uint8_t>(255)),
                 "key \"k\": element 1: expected a boolean 0 or 1, found 255");
  expect_error(with_pair(array_pair(test::gguf_type::kArray, 1).put<uint64_t>(0)).build(),
               ErrorCode::kUnsupported, "key \"k\": nested arrays");
}

TEST(GgufHardening, ArraysBeyondTheFile) {
  for (uint32_t type = 0; type <= 12; ++type) {
    if (type == test::gguf_type::kArray) continue;
    for (uint64_t count : {kMinusOne, uint64_t{1} << 63, uint64_t{1} << 61, uint64_t{5000}}) {
      expect_corrupt(with_pair(array_pair(type, count)),
                     "key \"k\": expected " + std::to_string(count) + " array elements");
    }
  }
}

TEST(GgufHardening, TextsBeyondTheFileOrTheLimit) {
  for (uint64_t length : {kMinusOne, uint64_t{1} << 63, uint64_t{5000}}) {
    expect_corrupt(with_pair(pair("k", test::gguf_type::kString).put(length)),
                   "key \"k\": truncated: ");
    expect_corrupt(with_pair(array_pair(test::gguf_type::kString, 1).put(length)),
                   "key \"k\": element 0: truncated: ");
  }
  std::string text(limits::kMetadataStringBytes + 1, 'x');
  expect_error(GgufBuilder().text("k", text).build(), ErrorCode::kLimit,
               "key \"k\": expected a text");
}

// A file with a hole in it, as large as it says and yet not worth a gigabyte of memory.
TEST(GgufHardening, HeadersBeyondTheLimit) {
  test::TemporaryDirectory directory;
  auto storage = make_system_storage();
  for (uint32_t type : {test::gguf_type::kUint8, test::gguf_type::kString}) {
    GgufBuilder builder;
    builder.raw_pair(array_pair(type, limits::kModelHeaderBytes).bytes());
    ASSERT_TRUE(storage->write_atomic(directory / "hole.gguf", builder.build()).ok());
    std::filesystem::resize_file(directory / "hole.gguf", 10 * limits::kModelHeaderBytes);
    auto model = GgufModel::open(*storage, directory / "hole.gguf");
    ASSERT_FALSE(model.ok());
    EXPECT_EQ(model.error().code, ErrorCode::kLimit) << model.error().message;
  }
}

TEST(GgufHardening, BadAlignment) {
  for (uint32_t alignment : {0u, 3u, 33u, 131072u, UINT32_MAX}) {
    GgufBuilder builder;
    builder.value<uint32_t>("general.alignment", alignment).floats("t", {1}, {1});
    expect_corrupt(builder,
                   "key \"general.alignment\": expected a power of two up to 65536, found " +
                       std::to_string(alignment));
  }
  expect_corrupt(GgufBuilder().text("general.alignment", "32"),
                 "key \"general.alignment\": expected");
  expect_corrupt(GgufBuilder().value<int32_t>("general.alignment", -32), "found -32");
  // Laid out by 8 bytes, but said to be laid out by 64.
  GgufBuilder builder;
  builder.alignment(8).floats("a", {2}, {1, 2}).floats("b", {2}, {3, 4});
  Bytes bytes = builder.build();
  auto at = std::search(bytes.begin(), bytes.end(), std::begin("general.alignment"),
                        std::end("general.alignment") - 1,
                        [](std::byte a, char b) { return a == static_cast<std::byte>(b); });
  ASSERT_NE(at, bytes.end());
  *(at + 17 + 4) = std::byte{64};
  expect_error(bytes, ErrorCode::kCorrupt,
               "tensor \"b\": expected an offset that is a multiple of 64, found 8");
}

TEST(GgufHardening, TensorNames) {
  GgufBuilder twice;
  twice.floats("a", {1}, {1}).floats("b", {1}, {1}).floats("a", {1}, {1});
  expect_corrupt(twice, "tensor \"a\" appears twice");
  expect_corrupt(GgufBuilder().floats("", {1}, {1}), "tensor 1 of 1: its name is empty");
  std::string name(limits::kNameBytes + 1, 'n');
  expect_error(GgufBuilder().floats(name, {1}, {1}).build(), ErrorCode::kLimit, "tensor 1 of 1");
  expect_corrupt(GgufBuilder().floats("\x1b[2J", {0}, {1}), "tensor \"\\x1b[2J\"");
}

TEST(GgufHardening, TensorRanks) {
  expect_corrupt(with_tensor(0, {}), "tensor \"t\": expected 1 to 4 dimensions, found 0");
  expect_corrupt(with_tensor(0, {1, 1, 1, 1, 1}), "expected 1 to 4 dimensions, found 5");
  GgufBytes entry;
  entry.put(std::string("t")).put<uint32_t>(UINT32_MAX).put<uint64_t>(1).put<uint64_t>(1);
  entry.put<uint64_t>(0);
  expect_corrupt(GgufBuilder().raw_tensor(entry.bytes()), "dimensions, found 4294967295");
}

TEST(GgufHardening, TensorDimensions) {
  expect_corrupt(with_tensor(0, {0}),
                 "tensor \"t\": expected dimension 0 from 1 to 2^63 - 1, found 0");
  expect_corrupt(with_tensor(0, {4, 0, 4}), "expected dimension 1");
  expect_corrupt(with_tensor(0, {4, kMinusOne}),
                 "expected dimension 1 from 1 to 2^63 - 1, found -1");
  expect_corrupt(with_tensor(0, {uint64_t{1} << 63}), "expected dimension 0");
  // Products that wrap to something small.
  expect_corrupt(with_tensor(0, {uint64_t{1} << 32, uint64_t{1} << 32}), "does not fit 63 bits");
  expect_corrupt(with_tensor(0, {uint64_t{1} << 62, 4, 4}), "does not fit 63 bits");
  expect_corrupt(with_tensor(0, {uint64_t{1} << 31, uint64_t{1} << 31, 2}), "does not fit 63 bits");
  // In a format of less than a byte per value the size alone would fit.
  expect_corrupt(with_tensor(2, {uint64_t{1} << 31, uint64_t{1} << 31, 2}), "the number of values");
  // The values can be counted, their bytes cannot.
  expect_corrupt(with_tensor(0, {uint64_t{1} << 62}), "the size of a shape");
  expect_corrupt(with_tensor(0, {uint64_t{1} << 31, uint64_t{1} << 30}), "the size of a shape");
  // Whole blocks only.
  expect_corrupt(with_tensor(8, {33}), "expected rows of whole Q8_0 blocks of 32 values, found 33");
  expect_corrupt(with_tensor(12, {32, 8}), "blocks of 256 values, found 32");
}

TEST(GgufHardening, TensorTypes) {
  auto expect_unsupported = [](uint32_t type, const std::string& name) {
    expect_error(with_tensor(type, {256}).build(), ErrorCode::kUnsupported, "found " + name);
  };
  expect_unsupported(15, "Q8_K");
  expect_unsupported(25, "I16");
  expect_unsupported(4, "an unknown type (4)");
  expect_unsupported(1000, "an unknown type (1000)");
  expect_unsupported(UINT32_MAX, "an unknown type (4294967295)");
  expect_error(with_tensor(27, {256}).build(), ErrorCode::kUnsupported,
               "tensor \"t\": expected one of the types F32, F16");
}

TEST(GgufHardening, TensorOffsets) {
  expect_corrupt(with_tensor(0, {4}, 33), "expected an offset that is a multiple of 32, found 33");
  expect_corrupt(with_tensor(0, {4}, 8192), "tensor \"t\": 16 bytes at offset 8192 of the data");
  expect_corrupt(with_tensor(0, {4}, (uint64_t{1} << 63)), "end beyond the file's");
  // Offset and size, and the start of the data, whose sums wrap to something small.
  expect_corrupt(with_tensor(0, {4}, kMinusOne - 31), "end beyond the file's");
  expect_corrupt(with_tensor(0, {uint64_t{1} << 60}, uint64_t{3} << 62), "end beyond the file's");
  expect_corrupt(with_tensor(0, {4096}, 32), "end beyond the file's");
}

TEST(GgufHardening, TensorsThatShareBytes) {
  expect_corrupt(with_tensor(0, {4}, 0), "the data of tensor \"first\" and tensor \"t\" overlap");
  GgufBuilder builder;
  builder.floats("a", {16}, std::vector<float>(16, 1));
  builder.tensor({"b", 0, {1}, Bytes(64), uint64_t{32}});
  expect_corrupt(builder, "the data of tensor \"a\" and tensor \"b\" overlap");
  GgufBuilder one_byte;
  one_byte.alignment(1).tensor({"b", 0, {1}, Bytes(8), uint64_t{3}}).floats("a", {1}, {1});
  one_byte.tensor({"c", 0, {1}, {}, uint64_t{0}});
  expect_corrupt(one_byte, "the data of tensor \"c\" and tensor \"b\" overlap");
}

}  // namespace
}  // namespace potluck
