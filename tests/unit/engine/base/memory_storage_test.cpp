#include "engine/base/memory_storage.h"

#include <gtest/gtest.h>

#include "engine/base/buffer.h"

namespace potluck {
namespace {

TEST(MemoryStorage, RunsOutOfSpaceAndKeepsTheOldFile) {
  MemoryStorage storage;
  storage.set_capacity(100);
  ASSERT_TRUE(storage.write_atomic("a", ByteVector(40)).ok());
  EXPECT_EQ(*storage.free_bytes("."), 60u);
  ASSERT_TRUE(storage.write_atomic("b", ByteVector(60)).ok());
  EXPECT_EQ(*storage.free_bytes("/"), 0u);
  Status full = storage.write_atomic("c", ByteVector(1));
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().code, ErrorCode::kIo);
  EXPECT_FALSE(storage.exists("c"));
  EXPECT_FALSE(storage.write_atomic("a", ByteVector(1)).ok())
      << "a replacement needs room beside the old content";
  EXPECT_EQ(read_file(storage, "a", 100)->size(), 40u);
  ASSERT_TRUE(storage.remove("b").ok());
  EXPECT_TRUE(storage.write_atomic("a", ByteVector(60)).ok());
  storage.set_capacity(10);
  EXPECT_EQ(*storage.free_bytes("."), 0u);
}

TEST(MemoryStorage, FailsAsManyReadsAsItWasTold) {
  MemoryStorage storage;
  ASSERT_TRUE(storage.write_atomic("a", ByteVector(4)).ok());
  auto file = storage.open("a", ReadMode::kBuffered);
  ASSERT_TRUE(file.ok());
  ByteVector out(4);
  storage.fail_reads(2);
  EXPECT_EQ((*file)->read_at(0, out).error().code, ErrorCode::kIo);
  EXPECT_EQ((*file)->read_at(0, out).error().code, ErrorCode::kIo);
  EXPECT_TRUE((*file)->read_at(0, out).ok());
}

TEST(MemoryStorage, FlipsOneBitAlsoUnderOpenFiles) {
  MemoryStorage storage;
  ASSERT_TRUE(storage.write_atomic("a", ByteVector(4, std::byte{0xf0})).ok());
  auto file = storage.open("a", ReadMode::kBuffered);
  ASSERT_TRUE(file.ok());
  storage.flip_bit("a", 2);
  ByteVector out(4);
  ASSERT_TRUE((*file)->read_at(0, out).ok());
  ByteVector expected(4, std::byte{0xf0});
  expected[2] = std::byte{0xf1};
  EXPECT_EQ(out, expected);
}

TEST(MemoryStorage, CutsFilesAlsoUnderOpenFiles) {
  MemoryStorage storage;
  ASSERT_TRUE(storage.write_atomic("a", ByteVector(100)).ok());
  auto file = storage.open("a", ReadMode::kBuffered);
  ASSERT_TRUE(file.ok());
  storage.truncate("a", 50);
  ByteVector out(50);
  EXPECT_TRUE((*file)->read_at(0, out).ok());
  EXPECT_EQ((*file)->read_at(1, out).error().code, ErrorCode::kIo);
  EXPECT_EQ((*storage.open("a", ReadMode::kBuffered))->size(), 50u);
}

TEST(MemoryStorage, AsksForAlignedDirectReadsWhenTold) {
  MemoryStorage storage;
  ASSERT_TRUE(storage.write_atomic("a", ByteVector(5000, std::byte{7})).ok());
  EXPECT_EQ((*storage.open("a", ReadMode::kDirect))->direct_alignment(), 1u);
  storage.set_direct_alignment(4096);
  EXPECT_EQ((*storage.open("a", ReadMode::kBuffered))->direct_alignment(), 1u);
  auto file = storage.open("a", ReadMode::kDirect);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->direct_alignment(), 4096u);
  Buffer buffer(2 * kMiB);
  ASSERT_TRUE((*file)->read_at(0, buffer.span().first(8192)).ok());
  EXPECT_EQ(buffer.span()[4999], std::byte{7});
  EXPECT_FALSE((*file)->read_at(8192, buffer.span().first(4096)).ok());
}

TEST(MemoryStorage, KnowsAPathByAllItsSpellings) {
  MemoryStorage storage;
  ASSERT_TRUE(storage.make_directories("models/").ok());
  ASSERT_TRUE(storage.write_atomic("models//./a", ByteVector(1)).ok());
  EXPECT_TRUE(storage.exists("models/a"));
  EXPECT_TRUE(storage.exists("models/../models/a"));
  EXPECT_EQ(*storage.list("models"), std::vector<std::string>{"a"});
  EXPECT_EQ(*storage.list("."), std::vector<std::string>{"models"});
}

TEST(MemoryStorage, MayEndBeforeItsFilesAndLocks) {
  auto storage = std::make_unique<MemoryStorage>();
  ASSERT_TRUE(storage->write_atomic("a", ByteVector(3)).ok());
  auto file = storage->open("a", ReadMode::kBuffered);
  auto lock = storage->lock("lock");
  ASSERT_TRUE(file.ok() && lock.ok());
  storage.reset();
  ByteVector out(3);
  EXPECT_TRUE((*file)->read_at(0, out).ok());
}

}  // namespace
}  // namespace potluck
