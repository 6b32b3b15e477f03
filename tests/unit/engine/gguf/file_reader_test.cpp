#include "engine/gguf/file_reader.h"

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "tests/support/gguf_builder.h"

namespace potluck {
namespace {

std::unique_ptr<ReadableFile> file_of(MemoryStorage& storage, const test::Bytes& bytes) {
  EXPECT_TRUE(storage.write_atomic("file", bytes).ok());
  return std::move(*storage.open("file", ReadMode::kBuffered));
}

// Values of uneven length, so that windows end inside of values.
TEST(FileReader, ReadsValuesAcrossItsWindows) {
  test::GgufBytes bytes;
  constexpr uint32_t kValues = 300'000;
  for (uint32_t i = 0; i < kValues; ++i) {
    bytes.put<uint32_t>(i).put<uint8_t>(static_cast<uint8_t>(i)).put<uint16_t>(7);
  }
  MemoryStorage storage;
  auto file = file_of(storage, bytes.bytes());
  FileReader reader(*file, UINT64_MAX);
  for (uint32_t i = 0; i < kValues; ++i) {
    ASSERT_EQ(*reader.read<uint32_t>(), i);
    ASSERT_EQ(*reader.read<uint8_t>(), static_cast<uint8_t>(i));
    ASSERT_EQ(*reader.read<uint16_t>(), 7u);
    ASSERT_EQ(reader.position(), (i + 1) * 7u);
  }
  EXPECT_EQ(reader.remaining(), 0u);
  EXPECT_EQ(reader.read<uint8_t>().error().code, ErrorCode::kCorrupt);
}

TEST(FileReader, ReadsStringsShortAndLong) {
  std::vector<std::string> texts{"", "short", std::string(3'000'000, 'x'), "after", ""};
  test::GgufBytes bytes;
  for (const std::string& text : texts) bytes.put(text);
  MemoryStorage storage;
  auto file = file_of(storage, bytes.bytes());
  FileReader reader(*file, UINT64_MAX);
  for (const std::string& text : texts) ASSERT_EQ(*reader.read_string(4'000'000), text);
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(FileReader, ComparesLengthsBeforeUse) {
  for (uint64_t length : {uint64_t{4}, uint64_t{1} << 40, UINT64_MAX}) {
    test::GgufBytes bytes;
    bytes.put<uint64_t>(length).raw("abc", 3);
    MemoryStorage storage;
    auto file = file_of(storage, bytes.bytes());
    auto text = FileReader(*file, UINT64_MAX).read_string(UINT64_MAX);
    ASSERT_FALSE(text.ok());
    EXPECT_EQ(text.error().code, ErrorCode::kCorrupt);
  }
  test::GgufBytes bytes;
  bytes.put(std::string("abc"));
  MemoryStorage storage;
  auto file = file_of(storage, bytes.bytes());
  EXPECT_EQ(FileReader(*file, UINT64_MAX).read_string(2).error().code, ErrorCode::kLimit);
  EXPECT_EQ(*FileReader(*file, UINT64_MAX).read_string(3), "abc");
}

TEST(FileReader, StopsAtItsLimit) {
  test::GgufBytes bytes;
  bytes.put<uint64_t>(1).put<uint64_t>(2);
  MemoryStorage storage;
  auto file = file_of(storage, bytes.bytes());
  FileReader reader(*file, 12);
  EXPECT_EQ(reader.remaining(), 12u);
  EXPECT_TRUE(reader.read<uint64_t>().ok());
  EXPECT_EQ(reader.read<uint64_t>().error().code, ErrorCode::kLimit);
}

TEST(FileReader, PassesOnWhatTheStorageSays) {
  test::GgufBytes bytes;
  bytes.put<uint64_t>(1);
  MemoryStorage storage;
  auto file = file_of(storage, bytes.bytes());
  storage.fail_reads(1);
  EXPECT_EQ(FileReader(*file, UINT64_MAX).read<uint32_t>().error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace potluck
