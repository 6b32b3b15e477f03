// The forms of a log line, and a file that cannot be written.
#include "coordinator/cli/log_file.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include "coordinator/cli/json_text.h"
#include "engine/base/storage.h"

namespace potluck {
namespace {

const LogEvent kHostileEvent{
    LogLevel::kWarning,
    "pool",
    "a device named \x1b[31m\xff\nfaked: line\xe2\x80\xae left",
    {{"count", int64_t{3}}, {"share", 0.5}, {"known", true}, {"name", "\xfe"}}};

TEST(LogFile, AJsonLineIsOneLineOfValidJson) {
  std::string line = json_line(kHostileEvent, 1'700'000'000);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  auto parsed = read_json(line);
  ASSERT_TRUE(parsed.ok()) << line;
  EXPECT_EQ((*parsed)["time"], "2023-11-14T22:13:20Z");
  EXPECT_EQ((*parsed)["level"], "warning");
  EXPECT_EQ((*parsed)["component"], "pool");
  EXPECT_EQ((*parsed)["fields"]["count"], 3);
  EXPECT_EQ((*parsed)["fields"]["share"], 0.5);
  EXPECT_EQ((*parsed)["fields"]["known"], true);
}

TEST(LogFile, TextShowsWhatATerminalWouldObey) {
  std::string text = text_with_fields(kHostileEvent);
  EXPECT_EQ(text.find_first_of("\n\x1b"), std::string::npos);
  EXPECT_NE(text.find("count=3 share=0.5 known=true"), std::string::npos) << text;
}

TEST(LogFile, LinesOfItsLevelAreAppended) {
  ManualClock clock;
  LogFlags flags{"info", "text", testing::TempDir() + "potluck-log-" + std::to_string(getpid())};
  for (int run = 0; run < 2; ++run) {
    auto file = LogFile::open(flags, clock);
    ASSERT_TRUE(file.ok());
    EXPECT_TRUE((*file)->write({LogLevel::kDebug, "pool", "not this"}).ok());
    EXPECT_TRUE((*file)->write({LogLevel::kInfo, "pool", "joined", {{"worker", "attic"}}}).ok());
  }
  auto storage = make_system_storage();
  auto bytes = read_file(*storage, flags.file, 1000);
  ASSERT_TRUE(bytes.ok());
  const std::string line = "2023-11-14T22:13:20Z info pool: joined worker=attic\n";
  EXPECT_EQ(as_text(*bytes), line + line);
  EXPECT_TRUE(storage->remove(flags.file).ok());
}

TEST(LogFile, AFullDiskIsAnError) {
  ManualClock clock;
  auto file = LogFile::open({"info", "json", "/dev/full"}, clock);
  ASSERT_TRUE(file.ok());
  Status written = (*file)->write(kHostileEvent);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().message, "--log-file /dev/full: No space left on device");
  EXPECT_FALSE(LogFile::open({"info", "text", "/no/such/folder/log"}, clock).ok());
  EXPECT_FALSE(LogFile::open({"info", "text", "/"}, clock).ok());
}

}  // namespace
}  // namespace potluck
