// What a process may use, from the files of a made-up system: memory and processors, under
// every kind of limit.
#include "engine/base/process_limits.h"

#include <gtest/gtest.h>

#include "engine/base/bytes.h"
#include "engine/base/limits.h"
#include "engine/base/random.h"
#include "tests/support/sample_files.h"

namespace potluck {
namespace {

using test::SampleFiles;

SampleFiles machine() {
  SampleFiles fake;
  fake.files["/proc/meminfo"] =
      "MemTotal:       24000000 kB\nMemFree:         1000 kB\nMemAvailable:    2000000 kB\n";
  fake.files["/proc/self/status"] =
      "VmSize:\t    1000 kB\nVmData:\t     500 kB\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\n";
  return fake;
}

MemoryBound available(const SystemFiles& files) {
  return process_limits(files).available;
}

TEST(ProcessLimits, AreTheMachines) {
  ProcessLimits limits = process_limits(machine());
  EXPECT_EQ(limits.available.bytes, 2000000 * kKiB);
  EXPECT_EQ(limits.available.source, "/proc/meminfo");
  EXPECT_EQ(limits.total.bytes, 24000000 * kKiB);
  EXPECT_EQ(limits.processors.count, 8u);
}

TEST(ProcessLimits, AreUnknownWithoutFiles) {
  ProcessLimits limits = process_limits(SampleFiles());
  for (const MemoryBound& bound : {limits.available, limits.total}) {
    EXPECT_EQ(bound.bytes, UINT64_MAX);
    EXPECT_EQ(bound.source, "");
  }
  EXPECT_EQ(limits.processors.count, 0u);
  EXPECT_GE(default_threads(limits), 1);
  EXPECT_EQ(default_lent_memory(limits), 0u);
}

TEST(ProcessLimits, CountTheGroupsOfVersion2) {
  SampleFiles fake = machine();
  fake.files["/proc/self/cgroup"] = "0::/user/app\n";
  fake.files["/sys/fs/cgroup/user/app/memory.max"] = "max\n";
  fake.files["/sys/fs/cgroup/user/app/memory.current"] = "500\n";
  EXPECT_EQ(available(fake).source, "/proc/meminfo");
  // The group above has a limit; pages of files that were read do not count as used.
  fake.files["/sys/fs/cgroup/user/memory.max"] = "1000000\n";
  fake.files["/sys/fs/cgroup/user/memory.current"] = "700000\n";
  EXPECT_EQ(available(fake).bytes, 300000u);
  fake.files["/sys/fs/cgroup/user/memory.stat"] =
      "anon 1\nfile_mapped 20\ninactive_file 200000\nactive_file 29\n";
  EXPECT_EQ(available(fake).bytes, 500009u);
  EXPECT_EQ(available(fake).source, "/sys/fs/cgroup/user/memory.max");
  EXPECT_EQ(process_limits(fake).total.bytes, 1000000u);
  // Beyond this one the kernel slows the group down until nothing moves.
  fake.files["/sys/fs/cgroup/user/memory.high"] = "600000\n";
  EXPECT_EQ(available(fake).bytes, 100009u);
}

TEST(ProcessLimits, CountTheGroupsOfVersion1) {
  SampleFiles fake = machine();
  fake.files["/proc/self/cgroup"] =
      "12:cpu,cpuacct:/elsewhere\n7:memory:/small\n1:name=systemd:/x\n0::/ignored\n";
  fake.files["/sys/fs/cgroup/memory/small/memory.limit_in_bytes"] = "800000\n";
  fake.files["/sys/fs/cgroup/memory/small/memory.usage_in_bytes"] = "100000\n";
  fake.files["/sys/fs/cgroup/memory/small/memory.stat"] =
      "inactive_file 1\ntotal_inactive_file 50000\n";
  EXPECT_EQ(available(fake).bytes, 750000u);
  // No limit looks like this; the smaller one counts.
  fake.files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712\n";
  fake.files["/sys/fs/cgroup/memory/memory.usage_in_bytes"] = "100000\n";
  EXPECT_EQ(available(fake).bytes, 750000u);
  // A limit of a group that is not to be seen from in here.
  fake.files["/sys/fs/cgroup/memory/small/memory.stat"] += "hierarchical_memory_limit 300000\n";
  EXPECT_EQ(available(fake).bytes, 250000u);
  EXPECT_EQ(process_limits(fake).total.bytes, 300000u);
}

// Version 1 for memory, version 2 for the rest, mounted in unusual places.
TEST(ProcessLimits, FindTheGroupsWhereverTheyAreMounted) {
  SampleFiles fake = machine();
  fake.files["/proc/self/cgroup"] = "4:memory:/a/b\n2:cpu,cpuacct:/a\n0::/a\n";
  fake.files["/proc/self/mountinfo"] =
      "35 31 0:32 / /odd\\040place rw,relatime shared:7 - cgroup cgroup rw,memory\n"
      "36 31 0:33 / /elsewhere rw - cgroup none rw,cpuacct,cpu\n"
      "41 31 0:38 / /unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
  fake.files["/odd place/a/memory.limit_in_bytes"] = "700000\n";
  EXPECT_EQ(available(fake).bytes, 700000u);
  EXPECT_EQ(available(fake).source, "/odd place/a/memory.limit_in_bytes");
  fake.files["/elsewhere/cpu.cfs_quota_us"] = "250000\n";
  fake.files["/elsewhere/cpu.cfs_period_us"] = "100000\n";
  EXPECT_EQ(process_limits(fake).processors.count, 3u);
  fake.files["/unified/a/cpu.max"] = "150000 100000\n";
  EXPECT_EQ(process_limits(fake).processors.count, 2u);
  fake.files["/unified/memory.max"] = "600000\n";
  EXPECT_EQ(available(fake).bytes, 600000u);
}

// In a container the path may be the host's, of which only a part is mounted.
TEST(ProcessLimits, KnowContainers) {
  SampleFiles fake = machine();
  fake.files["/proc/self/cgroup"] = "0::/docker/abc/def\n";
  fake.files["/sys/fs/cgroup/memory.max"] = "4096\n";
  fake.files["/sys/fs/cgroup/memory.current"] = "5000\n";
  EXPECT_EQ(available(fake).bytes, 0u);  // over its limit already
  fake.files["/proc/self/cgroup"] = "4:memory:/docker/abc/inner\n";
  fake.files["/proc/self/mountinfo"] =
      "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
  fake.files["/sys/fs/cgroup/memory/inner/memory.limit_in_bytes"] = "8192\n";
  EXPECT_EQ(available(fake).bytes, 8192u);
  // Of a group that lies outside only the mount itself is known.
  for (const char* group : {"/docker/abcd", "/", "/../other", "/docker"}) {
    fake.files["/proc/self/cgroup"] = std::string("4:memory:") + group + "\n";
    fake.files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "12288\n";
    EXPECT_EQ(available(fake).bytes, 12288u) << group;
  }
}

TEST(ProcessLimits, CountResourceLimits) {
  SampleFiles fake = machine();
  fake.files["/proc/self/limits"] =
      "Limit                     Soft Limit           Hard Limit           Units     \n"
      "Max data size             unlimited            unlimited            bytes     \n"
      "Max address space         3072000              unlimited            bytes     \n";
  EXPECT_EQ(available(fake).bytes, 3072000 - 1000 * kKiB);
  EXPECT_EQ(available(fake).source, kAddressSpaceLimit);
  EXPECT_EQ(process_limits(fake).total.bytes, 3072000u);
  fake.files["/proc/self/limits"] += "Max data size             1024000   unlimited   bytes\n";
  EXPECT_EQ(available(fake).source, kAddressSpaceLimit);  // the first line of a name counts
  fake.files["/proc/self/limits"] = "Max data size             1024000   unlimited   bytes\n";
  EXPECT_EQ(available(fake).bytes, 1024000 - 500 * kKiB);
  EXPECT_EQ(available(fake).source, "ulimit -d");
}

TEST(ProcessLimits, CountTheCommitLimitWhereItHolds) {
  SampleFiles fake = machine();
  fake.files["/proc/meminfo"] += "CommitLimit: 1000 kB\nCommitted_AS: 400 kB\n";
  fake.files["/proc/sys/vm/overcommit_memory"] = "0\n";
  EXPECT_EQ(available(fake).source, "/proc/meminfo");
  fake.files["/proc/sys/vm/overcommit_memory"] = "2\n";
  EXPECT_EQ(available(fake).bytes, 600 * kKiB);
}

TEST(ProcessLimits, CountProcessors) {
  struct Case {
    const char* allowed;
    const char* quota;  // of version 2
    uint32_t expected;
  };
  for (const Case& c :
       {Case{"0-7", "max 100000", 8}, Case{"0,2,4-5", "max 100000", 4},
        Case{"0-7", "50000 100000", 1}, Case{"0-7", "100001 100000", 2},
        Case{"0-7", "800000 100000", 8}, Case{"0-7", "9999999999999 100000", 8},
        Case{"3", "200000 100000", 1}, Case{"0-7", "0 100000", 8}, Case{"0-7", "50000", 1},
        Case{"0-7", "50000 0", 8}, Case{"7-0", "250000 100000", 3}, Case{"many", "none", 0},
        Case{"0-99999999999999999999", "max", UINT32_MAX}}) {
    SampleFiles fake;
    fake.files["/proc/self/status"] = std::string("Cpus_allowed_list:\t") + c.allowed + "\n";
    fake.files["/proc/self/cgroup"] = "0::/\n";
    fake.files["/sys/fs/cgroup/cpu.max"] = c.quota;
    ProcessLimits limits = process_limits(fake);
    EXPECT_EQ(limits.processors.count, c.expected) << c.allowed << " " << c.quota;
    EXPECT_GE(default_threads(limits), 1);
    EXPECT_LE(default_threads(limits), static_cast<int>(limits::kThreads));
  }
}

TEST(ProcessLimits, VersionOneSaysMinusOneForNoQuota) {
  SampleFiles fake = machine();
  fake.files["/proc/self/cgroup"] = "1:cpu:/x\n";
  fake.files["/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us"] = "-1\n";
  fake.files["/sys/fs/cgroup/cpu/x/cpu.cfs_period_us"] = "100000\n";
  EXPECT_EQ(process_limits(fake).processors.count, 8u);
  fake.files["/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us"] = "25000\n";
  EXPECT_EQ(process_limits(fake).processors.count, 1u);
}

TEST(ProcessLimits, IgnoreWhatMakesNoSense) {
  for (const char* text : {"", ":", "::", "0::", "a:memory", "\n\n::/\n", "0::relative"}) {
    SampleFiles fake = machine();
    fake.files["/proc/self/cgroup"] = text;
    fake.files["/sys/fs/cgroup/memory.max"] = "many";
    EXPECT_EQ(available(fake).bytes, 2000000 * kKiB) << text;
  }
}

TEST(ProcessLimits, TakeNumbersBeyond64BitsForVeryLarge) {
  SampleFiles fake = machine();
  fake.files["/proc/self/cgroup"] = "0::/\n";
  fake.files["/sys/fs/cgroup/memory.max"] = "99999999999999999999999\n";
  EXPECT_EQ(available(fake).source, "/proc/meminfo");
  fake.files["/proc/meminfo"] = "MemTotal: 99999999999999999999 kB\nMemAvailable: 9 kB\n";
  EXPECT_EQ(available(fake).bytes, 9 * kKiB);
  // Missing usage: the limit itself counts.
  fake.files["/sys/fs/cgroup/memory.max"] = "4096\n";
  EXPECT_EQ(available(fake).bytes, 4096u);
}

TEST(ProcessLimits, LendHalfOfTheTotalAndNotAllThatIsAvailable) {
  ProcessLimits limits;
  limits.total = {1000, "x"};
  limits.available = {900, "y"};
  EXPECT_EQ(default_lent_memory(limits), 500u);
  limits.available = {400, "y"};
  EXPECT_EQ(default_lent_memory(limits), 300u);
}

TEST(ProcessLimits, FindSomethingOnThisMachine) {
  ProcessLimits limits = process_limits(system_files());
  EXPECT_GT(limits.available.bytes, 1 * kMiB);
  EXPECT_LE(limits.available.bytes, limits.total.bytes);
  EXPECT_GE(limits.processors.count, 1u);
}

// Answers every path with text made of the pieces such files have, whole or mutilated.
class RandomFiles final : public SystemFiles {
 public:
  explicit RandomFiles(uint64_t seed) : random_(seed) {}

  std::vector<std::string> list(const std::string&) const override { return {}; }

  std::optional<std::string> read(const std::string& path) const override {
    EXPECT_LT(path.size(), 10000u);
    ++reads;
    static constexpr const char* kPieces[] = {"max",
                                              "-1",
                                              "0",
                                              "7",
                                              "100000",
                                              "18446744073709551615",
                                              "18446744073709551616",
                                              " ",
                                              "\n",
                                              ":",
                                              "::",
                                              "/",
                                              "/a",
                                              "/..",
                                              ",",
                                              "-",
                                              "memory",
                                              "cpu",
                                              "4:memory:/a/b\n",
                                              "0::/a\n",
                                              "kB",
                                              "2:cpu,cpuacct:/\n",
                                              "MemTotal:",
                                              "MemAvailable: ",
                                              "VmSize:",
                                              "Cpus_allowed_list:\t",
                                              "Max address space ",
                                              "total_inactive_file ",
                                              "active_file ",
                                              "\\040",
                                              "\\04",
                                              "\\999",
                                              " - cgroup x rw,memory\n",
                                              " - cgroup2 x rw\n",
                                              "1 2 0:3 / /m rw",
                                              "1 2 0:3 /a /m rw",
                                              "hierarchical_memory_limit ",
                                              "CommitLimit:",
                                              "\xff",
                                              "\t"};
    uint64_t count = next() % 20;
    if (count == 19) return std::nullopt;
    std::string text;
    for (uint64_t i = 0; i < count; ++i) text += kPieces[next() % std::size(kPieces)];
    if (next() % 50 == 0) text.append(100'000, '/');
    return text;
  }
  mutable int reads = 0;

 private:
  uint64_t next() const { return random_.bits(drawn_++); }
  CounterRandom random_;
  mutable uint64_t drawn_ = 0;
};

// Any files give an answer, in time, and what is available never exceeds the total.
TEST(ProcessLimits, SurviveAnyFiles) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    RandomFiles files(seed);
    ProcessLimits limits = process_limits(files);
    EXPECT_LT(files.reads, 200'000);
    EXPECT_EQ(limits.available.bytes == UINT64_MAX, limits.available.source.empty());
    EXPECT_EQ(limits.processors.count == 0, limits.processors.source.empty());
    int threads = default_threads(limits);
    EXPECT_TRUE(threads >= 1 && threads <= static_cast<int>(limits::kThreads));
    uint64_t lent = default_lent_memory(limits);
    EXPECT_TRUE(lent == 0 || lent <= limits.total.bytes / 2) << seed;
  }
}

// Made of numbers: the answer is the smallest of all bounds, however groups are nested.
TEST(ProcessLimits, AreTheSmallestOfAllBounds) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    CounterRandom random(seed);
    uint64_t drawn = 0;
    auto number = [&](uint64_t most) { return random.bits(drawn++) % most + 1; };
    bool version2 = number(2) == 1;
    SampleFiles fake = machine();
    uint64_t total = 24000000 * kKiB;
    uint64_t left = 2000000 * kKiB;
    std::string group;
    std::string mount = version2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    for (uint64_t depth = number(6); depth > 0; --depth) {
      uint64_t limit = number(3'000'000'000);
      uint64_t usage = number(3'000'000'000);
      uint64_t cached = number(2) == 1 ? number(usage) : 0;
      std::string folder = mount + group;
      fake.files[folder + (version2 ? "/memory.max" : "/memory.limit_in_bytes")] =
          std::to_string(limit) + "\n";
      fake.files[folder + (version2 ? "/memory.current" : "/memory.usage_in_bytes")] =
          std::to_string(usage) + "\n";
      fake.files[folder + "/memory.stat"] =
          std::string(version2 ? "" : "total_") + "inactive_file " + std::to_string(cached) + "\n";
      total = std::min(total, limit);
      left = std::min(left, limit - std::min(limit, usage - cached));
      group += "/g" + std::to_string(depth);
    }
    group.resize(group.rfind('/'));
    fake.files["/proc/self/cgroup"] =
        (version2 ? "0::" : "5:memory:") + (group.empty() ? "/" : group);
    ProcessLimits limits = process_limits(fake);
    EXPECT_EQ(limits.total.bytes, total) << seed;
    EXPECT_EQ(limits.available.bytes, left) << seed;
  }
}

}  // namespace
}  // namespace potluck
