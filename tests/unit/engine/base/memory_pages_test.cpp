// What is asked of the system for whole pages does not touch what lies beside them.
#include "engine/base/memory_pages.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "engine/base/buffer.h"

namespace potluck {
namespace {

constexpr uint64_t kLargePage = 16 * 1024;

TEST(MemoryPages, WholePagesLieInside) {
  Buffer buffer(8 * kLargePage);
  const auto base = reinterpret_cast<uintptr_t>(buffer.span().data());
  for (const uint64_t page : {uint64_t{4096}, kLargePage}) {
    for (uint64_t begin = 0; begin < 2 * page; begin += 512) {
      for (uint64_t size = 0; size < 4 * page; size += 512) {
        const MutableByteSpan found = whole_pages(buffer.span().subspan(begin, size), page);
        const uint64_t first = round_up<uint64_t>(base + begin, page);
        const uint64_t end = (base + begin + size) / page * page;
        ASSERT_EQ(found.size(), end > first ? end - first : 0) << begin << " " << size;
        if (found.empty()) continue;
        ASSERT_EQ(reinterpret_cast<uintptr_t>(found.data()), first);
      }
    }
  }
}

TEST(MemoryPages, WhatIsGivenBackIsZeroAndNothingElseIs) {
  const uint64_t page = page_bytes();
  ASSERT_GE(page, 4096U);
  ASSERT_EQ(page & (page - 1), 0U);
  Buffer buffer(Buffer::kHugePage);
  const MutableByteSpan memory = buffer.span();
  const auto fill = [&] { std::fill(memory.begin(), memory.end(), std::byte{7}); };
  const auto zeros = [&] {
    return static_cast<uint64_t>(std::count(memory.begin(), memory.end(), std::byte{0}));
  };
  fill();
  give_back_pages(memory.subspan(page / 2, page));  // two halves
  EXPECT_EQ(zeros(), 0U);
  give_back_pages(memory.subspan(page / 2, 2 * page));
  EXPECT_EQ(zeros(), page);
  EXPECT_EQ(memory[page - 1], std::byte{7});
  EXPECT_EQ(memory[page], std::byte{0});
  EXPECT_EQ(memory[2 * page], std::byte{7});
  give_back_pages({});
}

}  // namespace
}  // namespace potluck
