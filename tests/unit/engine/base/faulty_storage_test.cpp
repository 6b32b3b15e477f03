#include "tests/support/faulty_storage.h"

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"

namespace potluck::test {
namespace {

class FaultyStorageTest : public ::testing::Test {
 protected:
  FaultyStorageTest() {
    EXPECT_TRUE(storage_.write_atomic("apple", ByteVector(10, std::byte{2})).ok());
    EXPECT_TRUE(storage_.write_atomic("pear", ByteVector(10, std::byte{4})).ok());
  }
  Result<ByteVector> read(const std::string& path) { return read_file(storage_, path, 100); }

  MemoryStorage under_;
  FaultyStorage storage_{under_};
};

TEST_F(FaultyStorageTest, FailsTheReadsItWasToldTo) {
  storage_.fail_reads("apple", 2, 1);
  EXPECT_TRUE(read("apple").ok()) << "one passes";
  EXPECT_TRUE(read("pear").ok());
  EXPECT_EQ(read("apple").error().code, ErrorCode::kIo);
  EXPECT_NE(read("apple").error().message.find("apple"), std::string::npos);
  EXPECT_TRUE(read("apple").ok());
  EXPECT_EQ(storage_.reads(), 5u);
}

TEST_F(FaultyStorageTest, FailsWritesAsAFullDiskDoes) {
  storage_.fail_writes("", 1);
  Status full = storage_.write_atomic("plum", ByteVector(1));
  ASSERT_FALSE(full.ok());
  EXPECT_NE(full.error().message.find("no space left"), std::string::npos);
  EXPECT_FALSE(storage_.exists("plum"));
  EXPECT_TRUE(storage_.write_atomic("plum", ByteVector(1)).ok());
}

TEST_F(FaultyStorageTest, FailsWritesInPlaceToo) {
  auto file = storage_.open_writable("apple", WriteMode::kBuffered);
  ASSERT_TRUE(file.ok());
  storage_.fail_writes("apple", 1);
  EXPECT_EQ((*file)->write_at(0, ByteVector(3)).error().code, ErrorCode::kLimit);
  EXPECT_EQ((*read("apple"))[0], std::byte{2});
  EXPECT_TRUE((*file)->write_at(0, ByteVector(3)).ok());
  EXPECT_EQ((*read("apple"))[0], std::byte{0});
}

TEST_F(FaultyStorageTest, FlipsBitsOnTheWayAndCutsFiles) {
  auto open_file = storage_.open("apple", ReadMode::kBuffered);
  ASSERT_TRUE(open_file.ok());
  storage_.flip_bit("apple", 7);
  ByteVector out(4);
  ASSERT_TRUE((*open_file)->read_at(5, out).ok());
  EXPECT_EQ(out[2], std::byte{3});
  EXPECT_EQ(out[1], std::byte{2});
  ASSERT_TRUE((*open_file)->read_at(0, out).ok());
  EXPECT_EQ(out[2], std::byte{2});
  storage_.cut("apple", 8);
  EXPECT_TRUE((*open_file)->read_at(4, out).ok());
  EXPECT_EQ((*open_file)->read_at(5, out).error().code, ErrorCode::kIo);
  EXPECT_EQ((*read_file(under_, "apple", 100))[7], std::byte{2}) << "the disk itself is fine";
  storage_.heal();
  EXPECT_EQ(*read("apple"), ByteVector(10, std::byte{2}));
}

}  // namespace
}  // namespace potluck::test
