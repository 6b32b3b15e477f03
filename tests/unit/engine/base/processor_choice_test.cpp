// Which cores are big and which little, by what kernels of several kinds say.
#include "engine/base/processor_choice.h"

#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/support/sample_files.h"

namespace potluck::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

SampleFiles processors(const char* file, const std::vector<uint64_t>& figures) {
  SampleFiles files;
  for (size_t i = 0; i < figures.size(); ++i) {
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu{}/", i);
    files.files[folder + "online"] = "1\n";
    if (figures[i] > 0) files.files[folder + file] = fmt::format("{}\n", figures[i]);
  }
  files.files["/sys/devices/system/cpu/cpufreq/policy0/scaling_driver"] = "x\n";
  return files;
}

// A phone with four little, three middle and one big core: the middle ones have 0.77 of the big.
TEST(ProcessorChoice, CapacitiesTellPhonesCoresApart) {
  const SampleFiles phone = processors("cpu_capacity", {250, 250, 250, 250, 790, 790, 790, 1024});
  EXPECT_THAT(choose_cores(phone, CoreKind::kBig).cores, ElementsAre(4, 5, 6, 7));
  const CoreChoice little = choose_cores(phone, CoreKind::kLittle);
  EXPECT_THAT(little.cores, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(little.reason, "by their capacity");
  EXPECT_THAT(choose_cores(phone, CoreKind::kAll).cores, IsEmpty());
}

TEST(ProcessorChoice, FrequenciesWhereThereIsNoCapacity) {
  const SampleFiles phone =
      processors("cpufreq/cpuinfo_max_freq", {1800000, 1800000, 2800000, 2800000});
  EXPECT_THAT(choose_cores(phone, CoreKind::kBig).cores, ElementsAre(2, 3));
  EXPECT_THAT(choose_cores(phone, CoreKind::kLittle).cores, ElementsAre(0, 1));
}

TEST(ProcessorChoice, ListsOfHybridLaptops) {
  SampleFiles laptop = processors("cpufreq/cpuinfo_max_freq", {4700000, 4700000, 3500000, 3500000});
  laptop.files["/sys/devices/cpu_core/cpus"] = "0-1\n";
  laptop.files["/sys/devices/cpu_atom/cpus"] = "2-3,5\n";
  EXPECT_THAT(choose_cores(laptop, CoreKind::kBig).cores, ElementsAre(0, 1));
  EXPECT_THAT(choose_cores(laptop, CoreKind::kLittle).cores, ElementsAre(2, 3, 5));
}

// Favored cores of a desktop boost a little higher: that makes none of the others little.
TEST(ProcessorChoice, WhereCoresAreAlikeAllAreUsedAndTheReasonSaysSo) {
  const SampleFiles desktop =
      processors("cpufreq/cpuinfo_max_freq", {5100000, 5100000, 4900000, 4700000});
  EXPECT_THAT(choose_cores(desktop, CoreKind::kLittle).cores, IsEmpty());
  EXPECT_EQ(choose_cores(desktop, CoreKind::kBig).reason, "all cores are alike");
  const CoreChoice unknown = choose_cores(SampleFiles(), CoreKind::kBig);
  EXPECT_THAT(unknown.cores, IsEmpty());
  EXPECT_EQ(unknown.reason, "the kernel does not tell cores apart");
  const SampleFiles partly = processors("cpu_capacity", {250, 0, 1024});
  EXPECT_THAT(choose_cores(partly, CoreKind::kBig).cores, IsEmpty());
}

TEST(ProcessorChoice, NonsenseTellsNothing) {
  SampleFiles odd;
  odd.files["/sys/devices/cpu_core/cpus"] = "0-99999999999\n";
  odd.files["/sys/devices/cpu_atom/cpus"] = "x\n";
  odd.files["/sys/devices/system/cpu/cpu99999/cpu_capacity"] = "7\n";
  EXPECT_THAT(choose_cores(odd, CoreKind::kBig).cores, IsEmpty());
}

TEST(ProcessorChoice, NamesAreChecked) {
  EXPECT_EQ(*parse_core_kind("--cores", "little"), CoreKind::kLittle);
  EXPECT_THAT(parse_core_kind("--cores", "huge").error().message,
              HasSubstr("--cores huge: expected all, big or little"));
}

// In a thread, so that the other tests keep their priority and processors.
TEST(ProcessorChoice, AThreadStandsBackAndStaysWhereItIsTold) {
  std::thread([] {
    EXPECT_EQ(stand_back(), "");
    EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 19);
    ASSERT_TRUE(stay_on({0}).ok());
    std::thread([] {
      EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 19);
      cpu_set_t set;
      ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
      EXPECT_EQ(CPU_COUNT(&set), 1);
    }).join();
    EXPECT_FALSE(stay_on({1000}).ok());
  }).join();
}

}  // namespace
}  // namespace potluck::test
