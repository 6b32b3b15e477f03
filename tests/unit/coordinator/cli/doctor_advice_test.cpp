#include "coordinator/cli/doctor_advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/bytes.h"

namespace potluck {
namespace {

using testing::HasSubstr;

constexpr int64_t kNow = 1'796'000'000;

// A machine on which nothing is to be done.
DoctorFacts good_facts() {
  DoctorFacts facts;
  facts.unix_seconds = kNow;
  facts.clock_kept = true;
  facts.ports = {{"workers join", "serve --listen HOST:PORT", 7700, false, true},
                 {"devices find the coordinator", "--beacon-port N", 7700, true, true},
                 {"the HTTP API", "serve --port N", 8080, false, true}};
  facts.firewall.loaded = false;
  facts.disk.directory = "/data";
  facts.disk.file_system = "ext4";
  facts.disk.free_bytes = 100 * kGiB;
  facts.disk.bytes_per_second = 1e9;
  facts.disk.alignment = 4096;
  facts.limits.total = {16 * kGiB, "/proc/meminfo"};
  facts.limits.available = {12 * kGiB, "/proc/meminfo"};
  facts.lockable_bytes = 8 * kMiB;
  facts.huge_pages = "madvise";
  facts.kernels = {"scalar", "avx2"};
  facts.descriptors = 65'536;
  facts.link = {"192.168.1.2:7701", 20, 20, 0.0004, 0.001, 0, ""};
  return facts;
}

// The finding that is worse than ok, of which there must be one and no more.
Finding only_finding(const DoctorFacts& facts) {
  std::vector<Finding> worse;
  for (const Finding& finding : advise(facts)) {
    EXPECT_EQ(finding.advice.empty(), finding.level == FindingLevel::kOk) << finding.subject;
    if (finding.level != FindingLevel::kOk) worse.push_back(finding);
  }
  EXPECT_EQ(worse.size(), 1U);
  return worse.empty() ? Finding() : worse.front();
}

TEST(DoctorAdvice, NothingIsToBeDoneOnAGoodMachine) {
  const auto findings = advise(good_facts());
  EXPECT_EQ(worst_level(findings), FindingLevel::kOk);
  for (const Finding& finding : findings) {
    EXPECT_EQ(finding.level, FindingLevel::kOk) << finding.found;
    EXPECT_EQ(finding.advice, "");
    EXPECT_EQ(finding.found.find('\n'), std::string::npos);
  }
}

TEST(DoctorAdvice, NothingIsClaimedWhereNothingIsKnown) {
  DoctorFacts facts;
  facts.unix_seconds = kNow;
  facts.ports = {{"workers join", "serve --listen HOST:PORT", 7700, false, std::nullopt}};
  const auto findings = advise(facts);
  EXPECT_EQ(worst_level(findings), FindingLevel::kOk);
  size_t unknown = 0;
  for (const Finding& finding : findings) {
    if (finding.found.find("unknown") != std::string::npos) ++unknown;
  }
  EXPECT_GE(unknown, 7U);
}

TEST(DoctorAdvice, Clock) {
  DoctorFacts facts = good_facts();
  facts.unix_seconds = 86'400;
  EXPECT_EQ(only_finding(facts).level, FindingLevel::kProblem);
  facts.unix_seconds = kNow;
  facts.clock_kept = false;
  EXPECT_EQ(only_finding(facts).level, FindingLevel::kAdvice);
  facts.clock_ahead = 30;
  EXPECT_EQ(worst_level(advise(facts)), FindingLevel::kOk);
  facts.clock_ahead = -3600;
  EXPECT_EQ(only_finding(facts).level, FindingLevel::kProblem);
  EXPECT_THAT(only_finding(facts).found, HasSubstr("3600 s behind"));
}

TEST(DoctorAdvice, PortsThatOthersHave) {
  DoctorFacts facts = good_facts();
  facts.ports[2].free = false;
  const Finding finding = only_finding(facts);
  EXPECT_EQ(finding.level, FindingLevel::kProblem);
  EXPECT_THAT(finding.found, HasSubstr("TCP 8080"));
  EXPECT_THAT(finding.advice, HasSubstr("--port"));
  facts.coordinator_runs = true;
  EXPECT_EQ(worst_level(advise(facts)), FindingLevel::kOk);
}

TEST(DoctorAdvice, FirewallsNameThePorts) {
  DoctorFacts facts = good_facts();
  facts.firewall.loaded = true;
  EXPECT_THAT(only_finding(facts).advice, HasSubstr("TCP 7700 and UDP 7700"));
  facts.firewall = {std::nullopt, "ufw"};
  EXPECT_THAT(only_finding(facts).found, HasSubstr("ufw"));
  facts.firewall = {};
  EXPECT_EQ(worst_level(advise(facts)), FindingLevel::kOk);
}

TEST(DoctorAdvice, Disks) {
  for (const char* type : {"fuse.sshfs", "nfs4", "tmpfs", "9p"}) {
    DoctorFacts facts = good_facts();
    facts.disk.file_system = type;
    EXPECT_THAT(only_finding(facts).found, HasSubstr(type));
    EXPECT_THAT(only_finding(facts).advice, HasSubstr("--store"));
  }
  DoctorFacts facts = good_facts();
  facts.disk.alignment = 1;
  EXPECT_THAT(only_finding(facts).found, HasSubstr("O_DIRECT"));
  facts = good_facts();
  facts.disk.bytes_per_second = 30e6;
  EXPECT_THAT(only_finding(facts).found, HasSubstr("slow"));
  facts = good_facts();
  facts.disk.offset = 63 * 512;
  EXPECT_THAT(only_finding(facts).found, HasSubstr("4 KiB"));
  facts.disk.offset = 2048 * 512;
  EXPECT_EQ(worst_level(advise(facts)), FindingLevel::kOk);
  facts.disk.free_bytes = kGiB;
  EXPECT_THAT(only_finding(facts).found, HasSubstr("free"));
}

TEST(DoctorAdvice, MemoryProcessorAndFiles) {
  DoctorFacts facts = good_facts();
  facts.limits.available = {100 * kMiB, "/sys/fs/cgroup/memory.max"};
  EXPECT_THAT(only_finding(facts).found, HasSubstr("/sys/fs/cgroup/memory.max"));
  facts = good_facts();
  facts.huge_pages = "never";
  EXPECT_THAT(only_finding(facts).advice, HasSubstr("transparent_hugepage"));
  facts = good_facts();
  facts.kernels = {"scalar"};
  EXPECT_THAT(only_finding(facts).found, HasSubstr("scalar"));
  facts = good_facts();
  facts.descriptors = 1024;
  EXPECT_THAT(only_finding(facts).advice, HasSubstr("ulimit"));
}

TEST(DoctorAdvice, TheWayToTheCoordinator) {
  DoctorFacts facts = good_facts();
  facts.link.resent = 3;
  EXPECT_THAT(only_finding(facts).found, HasSubstr("13 % of 23 lost"));
  facts = good_facts();
  facts.link.round_trip = 0.012;
  EXPECT_EQ(only_finding(facts).level, FindingLevel::kAdvice);
  facts.link.round_trip = 0.2;
  EXPECT_THAT(only_finding(facts).found, HasSubstr("too far"));
  facts.link = {"192.168.1.2:7701", 2, 0, 0, 0, 0, "Connection refused"};
  EXPECT_EQ(only_finding(facts).level, FindingLevel::kProblem);
  EXPECT_THAT(only_finding(facts).found, HasSubstr("Connection refused"));
  facts.link = {"203.0.113.7:7701", 0, 0, 0, 0, 0, ""};
  EXPECT_EQ(worst_level(advise(facts)), FindingLevel::kOk);
}

TEST(DoctorAdvice, Wireless) {
  DoctorFacts facts = good_facts();
  facts.wireless = {{"wlan0", true, -50}};
  EXPECT_THAT(only_finding(facts).advice, HasSubstr("iw dev wlan0 set power_save off"));
  facts.wireless = {{"wlan0", false, -82}};
  EXPECT_THAT(only_finding(facts).found, HasSubstr("-82 dBm"));
  facts.wireless = {{"wlan0", std::nullopt, std::nullopt}};
  EXPECT_EQ(worst_level(advise(facts)), FindingLevel::kOk);
}

}  // namespace
}  // namespace potluck
