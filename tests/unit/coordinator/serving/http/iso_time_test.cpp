#include "coordinator/serving/http/iso_time.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(IsoTime, AndTheSameForHeads) {
  EXPECT_EQ(iso_time(784'111'777), "1994-11-06T08:49:37Z");
  EXPECT_EQ(http_date(784'111'777), "Sun, 06 Nov 1994 08:49:37 GMT");  // the example of RFC 9110
  EXPECT_EQ(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(http_date(1'798'761'599), "Thu, 31 Dec 2026 23:59:59 GMT");
}

}  // namespace
}  // namespace potluck
