#include "coordinator/runtime/epoch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Result<uint64_t> next_after(MemoryStorage& storage, const std::string& text) {
  EXPECT_TRUE(storage.write_atomic("epoch", as_bytes(text)).ok());
  return next_epoch(storage, "epoch");
}

TEST(Epoch, IsAnotherOneAtEveryStart) {
  MemoryStorage storage;
  for (uint64_t start = 1; start < 4; ++start) EXPECT_EQ(*next_epoch(storage, "epoch"), start);
  EXPECT_EQ(*next_after(storage, "41\n"), 42U);
  EXPECT_EQ(*next_after(storage, "41\r\n"), 42U);
}

TEST(Epoch, IsNeverNothing) {
  MemoryStorage storage;
  EXPECT_EQ(*next_after(storage, "18446744073709551614"), UINT64_MAX);
  EXPECT_EQ(*next_epoch(storage, "epoch"), 1U);
  EXPECT_EQ(*next_epoch(storage, "epoch"), 2U);
}

TEST(Epoch, OfADamagedFileIsAnErrorThatNamesItAndTheWayOut) {
  for (const std::string text :
       {"", "\n", "-1", "+1", " 1", "1 ", "1x", "0x10", "1.5", "18446744073709551616",
        "\xFF\x1B[2J", "99999999999999999999999999999999999999"}) {
    MemoryStorage storage;
    auto epoch = next_after(storage, text);
    ASSERT_FALSE(epoch.ok()) << text;
    EXPECT_EQ(epoch.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(epoch.error().message,
                AllOf(HasSubstr("epoch: expected a whole number"), HasSubstr("without the file")));
    EXPECT_EQ(epoch.error().message.find('\x1B'), std::string::npos);
    EXPECT_EQ(as_text(*read_file(storage, "epoch", 64)), text) << "the file stays as it was";
  }
}

}  // namespace
}  // namespace potluck
