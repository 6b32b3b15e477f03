// Preparing memory changes nothing of it but that it has pages, and goes no further than it may.
#include "engine/base/prefault.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "engine/base/buffer.h"

namespace potluck {
namespace {

constexpr uint64_t kPageBytes = 4096;

// Bytes of whole pages that have memory behind them.
uint64_t resident_bytes(ByteSpan memory) {
  std::vector<unsigned char> pages(memory.size() / kPageBytes);
  auto* begin = const_cast<std::byte*>(memory.data());
  EXPECT_EQ(::mincore(begin, memory.size(), pages.data()), 0);
  return kPageBytes * static_cast<uint64_t>(std::ranges::count_if(
                          pages, [](unsigned char page) { return (page & 1) != 0; }));
}

// Linux before 5.14 prepares nothing: then there is nothing to test.
bool can_prefault() {
  Buffer memory(32 * kMiB);
  Prefault prefault(memory.span(), memory.size());
  prefault.wait();
  return resident_bytes(memory.span()) == memory.size();
}

class PrefaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_prefault()) GTEST_SKIP() << "this system cannot prepare memory (Linux before 5.14)";
  }
};

TEST_F(PrefaultTest, PreparesAsFarAsItMay) {
  Buffer memory(128 * kMiB);
  Prefault prefault(memory.span(), 32 * kMiB);
  prefault.wait();
  EXPECT_EQ(resident_bytes(memory.span()), 32 * kMiB);
  prefault.used(48 * kMiB);
  prefault.wait();
  EXPECT_EQ(resident_bytes(memory.span()), 80 * kMiB);
  prefault.used(memory.size());
  prefault.wait();
  EXPECT_EQ(resident_bytes(memory.span()), memory.size());
}

TEST_F(PrefaultTest, KeepsWhatIsThere) {
  Buffer memory(32 * kMiB);
  memory.data()[5'000'000] = std::byte{7};
  Prefault prefault(memory.span(), memory.size());
  memory.data()[31'000'000] = std::byte{8};
  prefault.wait();
  EXPECT_EQ(memory.data()[5'000'000], std::byte{7});
  EXPECT_EQ(memory.data()[31'000'000], std::byte{8});
  EXPECT_EQ(memory.data()[31'000'001], std::byte{0});
}

TEST(Prefault, EndsInTheMiddle) {
  Buffer memory(512 * kMiB);
  Prefault prefault(memory.span(), memory.size());
}

TEST(Prefault, TakesMemoryOfAnySizeAndPlace) {
  for (uint64_t bytes : {uint64_t{0}, uint64_t{1}, uint64_t{4095}, 3 * kPageBytes + 17}) {
    Buffer memory(bytes + 1);
    Prefault prefault(memory.span().subspan(1), 1 * kGiB);
    prefault.used(bytes);
    prefault.wait();
  }
}

}  // namespace
}  // namespace potluck
