#include "engine/base/printable.h"

#include <gtest/gtest.h>

namespace potluck {
namespace {

TEST(Printable, KeepsPlainTextAndEscapesTheRest) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("blk.0.attn_k.weight ~"), "blk.0.attn_k.weight ~");
  EXPECT_EQ(printable(std::string_view("a\0b\n\x1b[31m\x7f\xff", 11)),
            "a\\x00b\\x0a\\x1b[31m\\x7f\\xff");
}

TEST(Printable, CutsLongText) {
  EXPECT_EQ(printable(std::string(64, 'x')), std::string(64, 'x'));
  EXPECT_EQ(printable(std::string(65, 'x')), std::string(64, 'x') + "...");
}

}  // namespace
}  // namespace potluck
