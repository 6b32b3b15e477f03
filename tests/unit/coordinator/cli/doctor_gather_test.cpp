#include "coordinator/cli/doctor_gather.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/disk_probe.h"
#include "engine/base/memory_storage.h"
#include "tests/support/sample_files.h"

namespace potluck {
namespace {

using test::SampleFiles;

// Every file that is looked at, cut off anywhere, missing, or full of something else.
TEST(DoctorGather, NothingFailsWhateverTheSystemSays) {
  const std::vector<std::string> paths = {
      "/proc/modules",        "/proc/net/ip_tables_names",
      "/etc/ufw/ufw.conf",    "/sys/kernel/mm/transparent_hugepage/enabled",
      "/proc/self/limits",    "/proc/cpuinfo",
      "/proc/net/wireless",   "/sys/class/net/wlan0/phy80211/name",
      "/proc/self/mountinfo", "/sys/dev/block/8:1/start"};
  const std::vector<std::string> texts = {"",
                                          "\n",
                                          "-",
                                          "]x[",
                                          "8:1",
                                          "a b c d e - ",
                                          "1 2 8:1 / / - ext4",
                                          "Max open files",
                                          "Max open files \n",
                                          "Max open files 99999999999999999999999",
                                          "nf_tables 1",
                                          "wlan0: 1 2 -x",
                                          std::string(3, '\0'),
                                          "\\04",
                                          "1 2 8:1 / \\777 - x\n"};
  for (const std::string& text : texts) {
    SampleFiles files;
    for (const std::string& path : paths) files.files[path] = text;
    (void)firewall_of(files);
    (void)huge_pages_of(files);
    (void)own_limit(files, "Max open files");
    (void)processor_name(files);
    (void)wireless_of(files);
    (void)mount_of(files, "/data");
  }
  const SampleFiles none;
  EXPECT_FALSE(firewall_of(none).loaded);
  EXPECT_EQ(huge_pages_of(none), "");
  EXPECT_FALSE(own_limit(none, "Max open files"));
  EXPECT_TRUE(wireless_of(none).empty());
  EXPECT_EQ(mount_of(none, "/data").file_system, "");
}

TEST(DoctorGather, Filters) {
  SampleFiles files;
  files.files["/proc/modules"] = "ext4 1 1 - Live 0x0\nnf_tables 303104 0 - Live 0x0\n";
  EXPECT_FALSE(*firewall_of(files).loaded);
  files.files["/proc/modules"] = "nf_tables 303104 541 nft_ct,nft_compat, Live 0x0\n";
  EXPECT_TRUE(*firewall_of(files).loaded);
  files.files["/proc/modules"] = "ext4 1 1 - Live 0x0\n";
  files.files["/proc/net/ip_tables_names"] = "filter\n";
  EXPECT_TRUE(*firewall_of(files).loaded);
  files.files["/etc/ufw/ufw.conf"] = "# ufw\nENABLED=yes\n";
  EXPECT_EQ(firewall_of(files).manager, "ufw");
}

TEST(DoctorGather, LimitsAndHugePages) {
  SampleFiles files;
  files.files["/proc/self/limits"] =
      "Limit                     Soft Limit           Hard Limit           Units     \n"
      "Max locked memory         8388608              unlimited            bytes     \n"
      "Max open files            1024                 1048576              files     \n"
      "Max file locks            unlimited            unlimited            locks     \n";
  EXPECT_EQ(*own_limit(files, "Max locked memory"), 8'388'608U);
  EXPECT_EQ(*own_limit(files, "Max open files"), 1024U);
  EXPECT_EQ(*own_limit(files, "Max file locks"), UINT64_MAX);
  EXPECT_FALSE(own_limit(files, "Max cpu time"));
  files.files["/sys/kernel/mm/transparent_hugepage/enabled"] = "always [madvise] never\n";
  EXPECT_EQ(huge_pages_of(files), "madvise");
}

TEST(DoctorGather, TheInnermostMountCounts) {
  SampleFiles files;
  files.files["/proc/self/mountinfo"] =
      "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
      "30 22 0:40 / /home/a/my\\040data rw - fuse.sshfs host: rw\n"
      "31 22 8:33 / /home/a/data rw - xfs /dev/sdc1 rw\n"
      "32 31 0:41 / /home/a/data rw - tmpfs tmpfs rw\n";
  files.files["/sys/dev/block/8:1/start"] = "2048\n";
  files.files["/sys/dev/block/8:1/../queue/rotational"] = "1\n";
  const DiskFact root = mount_of(files, "/home/a/database");
  EXPECT_EQ(root.file_system, "ext4");
  EXPECT_EQ(*root.offset, 2048U * 512);
  EXPECT_TRUE(*root.rotates);
  EXPECT_EQ(mount_of(files, "/home/a/my data/x").file_system, "fuse.sshfs");
  EXPECT_EQ(mount_of(files, "/home/a/data/x").file_system, "tmpfs");
  EXPECT_EQ(mount_of(files, "/home/a/data").file_system, "tmpfs");
}

TEST(DoctorGather, WirelessInterfacesWithTheirSignal) {
  SampleFiles files;
  files.files["/sys/class/net/eth0/type"] = "1\n";
  files.files["/sys/class/net/wlan0/phy80211/name"] = "phy0\n";
  files.files["/proc/net/wireless"] =
      "Inter-| sta-|   Quality        |   Discarded packets\n"
      " face | tus | link level noise |  nwid  crypt\n"
      " wlan0: 0000   54.  -56.  -256        0      0\n";
  const auto found = wireless_of(files);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].interface, "wlan0");
  EXPECT_EQ(*found[0].signal_dbm, -56);
}

TEST(DoctorProbes, DatesOfAnswers) {
  EXPECT_EQ(*date_in("HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"),
            784'111'777);
  EXPECT_EQ(*date_in("HTTP/1.1 404 x\r\nA: b\r\nDATE:Sun, 06 Nov 1994 08:49:37 GMT"), 784'111'777);
  for (const char* head : {"", "Date: Sun, 06 Nov 1994 08:49:37 GMT",
                           "x\r\nDate:", "\r\ndate: soon", "\r\nUpdate: 1"}) {
    EXPECT_FALSE(date_in(head)) << head;
  }
}

TEST(DoctorGather, MeasuresOnWhatIsThereOrWritesSomethingForThat) {
  SystemClock clock;
  SeededEntropy entropy(1);
  MemoryStorage storage;
  ASSERT_TRUE(storage.make_directories("/store").ok());
  DiskFact disk;
  measure_disk("/store", storage, clock, entropy, &disk);
  EXPECT_TRUE(disk.bytes_per_second.has_value()) << disk.trouble;
  EXPECT_EQ(storage.list("/store")->size(), 0U);  // nothing stays
  DiskFact nowhere;
  measure_disk("/no/such", storage, clock, entropy, &nowhere);
  EXPECT_FALSE(nowhere.bytes_per_second);
  EXPECT_NE(nowhere.trouble, "");
}

}  // namespace
}  // namespace potluck
