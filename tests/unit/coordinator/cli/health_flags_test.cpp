#include "coordinator/cli/health_flags.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(HealthFlags, QuietHours) {
  EXPECT_EQ(*parse_quiet_hours("22:00-07:30"), (QuietHours{22 * 60, 7 * 60 + 30}));
  EXPECT_EQ(*parse_quiet_hours("00:00-23:59"), (QuietHours{0, 23 * 60 + 59}));
  EXPECT_EQ(*parse_quiet_hours("20:00-24:00"), (QuietHours{20 * 60, 0}));
  for (const char* text :
       {"", "22", "22:00", "22:00-", "22:00-7:30", "22:60-07:00", "24:01-07:00", "-1:00-07:00",
        "22:00-22:00", "00:00-24:00", "22:00 - 07:00", "99:99-99:99", "22:00-07:300"}) {
    const auto parsed = parse_quiet_hours(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find("--quiet-hours"), std::string::npos);
  }
}

}  // namespace
}  // namespace potluck
