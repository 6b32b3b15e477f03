// What is left of the machine's memory and of every control group around the process.
#include "engine/base/memory_limit.h"

#include <map>

#include <gtest/gtest.h>

#include "engine/base/bytes.h"

namespace potluck {
namespace {

class FakeFiles final : public SystemFiles {
 public:
  std::map<std::string, std::string> files;

  std::optional<std::string> read(const std::string& path) const override {
    auto found = files.find(path);
    if (found == files.end()) return std::nullopt;
    return found->second;
  }
};

FakeFiles machine() {
  FakeFiles fake;
  fake.files["/proc/meminfo"] =
      "MemTotal:       24000000 kB\nMemFree:         1000 kB\nMemAvailable:    2000000 kB\n";
  return fake;
}

TEST(AvailableMemory, IsWhatTheSystemSays) {
  AvailableMemory memory = available_memory(machine());
  EXPECT_EQ(memory.bytes, 2000000 * kKiB);
  EXPECT_EQ(memory.source, "/proc/meminfo");
}

TEST(AvailableMemory, IsUnknownWithoutFiles) {
  AvailableMemory memory = available_memory(FakeFiles());
  EXPECT_EQ(memory.bytes, UINT64_MAX);
  EXPECT_EQ(memory.source, "");
}

TEST(AvailableMemory, CountsTheGroupsOfVersion2) {
  FakeFiles fake = machine();
  fake.files["/proc/self/cgroup"] = "0::/user/app\n";
  fake.files["/sys/fs/cgroup/user/app/memory.max"] = "max\n";
  fake.files["/sys/fs/cgroup/user/app/memory.current"] = "500\n";
  EXPECT_EQ(available_memory(fake).source, "/proc/meminfo");
  // The group above has a limit; pages of files that were read do not count as used.
  fake.files["/sys/fs/cgroup/user/memory.max"] = "1000000\n";
  fake.files["/sys/fs/cgroup/user/memory.current"] = "700000\n";
  EXPECT_EQ(available_memory(fake).bytes, 300000u);
  fake.files["/sys/fs/cgroup/user/memory.stat"] = "anon 1\ninactive_file 200000\nactive_file 9\n";
  AvailableMemory memory = available_memory(fake);
  EXPECT_EQ(memory.bytes, 500000u);
  EXPECT_EQ(memory.source, "/sys/fs/cgroup/user/memory.max");
}

TEST(AvailableMemory, CountsTheGroupsOfVersion1) {
  FakeFiles fake = machine();
  fake.files["/proc/self/cgroup"] =
      "12:cpu,cpuacct:/elsewhere\n7:memory:/small\n1:name=systemd:/x\n0::/ignored\n";
  fake.files["/sys/fs/cgroup/memory/small/memory.limit_in_bytes"] = "800000\n";
  fake.files["/sys/fs/cgroup/memory/small/memory.usage_in_bytes"] = "100000\n";
  fake.files["/sys/fs/cgroup/memory/small/memory.stat"] =
      "inactive_file 1\ntotal_inactive_file 50000\n";
  EXPECT_EQ(available_memory(fake).bytes, 750000u);
  // No limit looks like this; the smaller one counts.
  fake.files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712\n";
  fake.files["/sys/fs/cgroup/memory/memory.usage_in_bytes"] = "100000\n";
  EXPECT_EQ(available_memory(fake).bytes, 750000u);
}

// In a container the path may be the host's, of which only the root is mounted.
TEST(AvailableMemory, FallsBackToTheRootOfTheGroups) {
  FakeFiles fake = machine();
  fake.files["/proc/self/cgroup"] = "0::/docker/abc/def\n";
  fake.files["/sys/fs/cgroup/memory.max"] = "4096\n";
  fake.files["/sys/fs/cgroup/memory.current"] = "5000\n";
  EXPECT_EQ(available_memory(fake).bytes, 0u);  // over its limit already
}

TEST(AvailableMemory, IgnoresWhatMakesNoSense) {
  for (const char* text : {"", ":", "::", "0::", "a:memory", "\n\n::/\n", "0::relative"}) {
    FakeFiles fake = machine();
    fake.files["/proc/self/cgroup"] = text;
    fake.files["/sys/fs/cgroup/memory.max"] = "many";
    EXPECT_EQ(available_memory(fake).bytes, 2000000 * kKiB) << text;
  }
}

TEST(AvailableMemory, FindsSomethingOnThisMachine) {
  AvailableMemory memory = available_memory(system_files());
  EXPECT_GT(memory.bytes, 1 * kMiB);
}

}  // namespace
}  // namespace potluck
