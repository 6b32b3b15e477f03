#include "coordinator/cli/number_text.h"

#include <gtest/gtest.h>

#include "engine/base/bytes.h"
#include "engine/base/random.h"

namespace potluck {
namespace {

constexpr uint64_t kMost = UINT64_MAX;

TEST(NumberText, WholeNumbersAreDecimalDigitsInRange) {
  EXPECT_EQ(*read_whole("0", {0, kMost}), 0U);
  EXPECT_EQ(*read_whole("18446744073709551615", {0, kMost}), kMost);
  EXPECT_EQ(*read_whole("256", {1, 256}), 256U);
  for (const char* text : {"",
                           " ",
                           "-1",
                           "-0",
                           "+1",
                           " 1",
                           "1 ",
                           "1\n",
                           "\t1",
                           "01",
                           "007",
                           "0x10",
                           "0b1",
                           "0o7",
                           "1e3",
                           "1.0",
                           "1.",
                           ".5",
                           "1,000",
                           "1_000",
                           "1'000",
                           "1k",
                           "1GiB",
                           "nan",
                           "inf",
                           "many",
                           "18446744073709551616",
                           "99999999999999999999999",
                           "1-",
                           "--1",
                           "\xd9\xa1",
                           "1\xc2\xa0"}) {
    Result<uint64_t> value = read_whole(text, {0, kMost});
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_NE(value.error().message.find("0 to 18446744073709551615"), std::string::npos);
  }
  for (const char* text : {"0", "257", "4294967297"}) {
    Result<uint64_t> value = read_whole(text, {1, 256});
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_EQ(value.error().message,
              std::string("expected a whole number, 1 to 256, found '") + text + "'");
  }
}

TEST(NumberText, DecimalsMayHaveAnExponent) {
  EXPECT_EQ(*read_decimal("0.8", {0, 1}), 0.8);
  EXPECT_EQ(*read_decimal(".5", {0, 1}), 0.5);
  EXPECT_EQ(*read_decimal("1e-3", {0, 1}), 1e-3);
  EXPECT_EQ(*read_decimal("1E+2", {0, 100}), 100);
  EXPECT_EQ(*read_decimal("0", {0, 1}), 0);
  for (const char* text :
       {"",    "-1",   "-0", "+1",   "nan", "NaN",    "inf",      "-inf", "infinity",
        "1e",  "1e+",  "e3", "1e99", "0x1", "1.",     ".",        "..5",  "1.5.2",
        "1,5", "00.5", " 1", "1 ",   "1f",  "1e9999", "100.0001", "half", "50%"}) {
    EXPECT_FALSE(read_decimal(text, {0, 100}).ok()) << text;
  }
}

TEST(NumberText, SizesAreExact) {
  EXPECT_EQ(*read_size("0"), 0U);
  EXPECT_EQ(*read_size("1048576"), kMiB);
  EXPECT_EQ(*read_size("4GiB"), 4 * kGiB);
  EXPECT_EQ(*read_size("4g"), 4 * kGiB);
  EXPECT_EQ(*read_size("4gb"), 4'000'000'000U);
  EXPECT_EQ(*read_size("1.5k"), 1536U);
  EXPECT_EQ(*read_size("9007199254740993"), 9007199254740993U);  // no double holds it
  EXPECT_EQ(*read_size("1000000TB"), 1'000'000'000'000'000'000U);
  for (const char* text : {"",
                           "-1",
                           "-1GiB",
                           "+1",
                           "GiB",
                           "4 GiB",
                           "4GiB ",
                           "4XB",
                           "4Gib/s",
                           "0x10",
                           "04G",
                           "1e3",
                           "1e3G",
                           "nan",
                           "inf",
                           "1,5G",
                           "1.G",
                           ".",
                           "4GG",
                           "4Gi",
                           "4GBB",
                           "1000001TB",
                           "lots",
                           "99999999999999999999",
                           "18446744073709551616",
                           "16777216TiB"}) {
    EXPECT_FALSE(read_size(text).ok()) << text;
  }
  EXPECT_EQ(parse_size("--ram", "lots").error().message,
            "--ram: expected a size such as 4GiB, found 'lots'");
}

TEST(NumberText, RatesAndTimes) {
  EXPECT_EQ(*read_rate("200MB/s"), 200'000'000U);
  EXPECT_EQ(*read_rate("500MiB"), 500 * kMiB);
  EXPECT_EQ(*read_rate("20mb"), 20'000'000U);
  for (const char* text : {"", "0", "0MB/s", "999", "-1MB/s", "100Mb/s", "1Gb", "1MB/m", "MB/s",
                           "1MB/s/s", "1MB /s", "nan", "inf"}) {
    EXPECT_FALSE(read_rate(text).ok()) << text;
  }
  EXPECT_EQ(*read_duration("3ms"), Duration(3'000'000));
  EXPECT_EQ(*read_duration("0.5us"), Duration(500));
  EXPECT_EQ(*read_duration("10s"), Duration(10'000'000'000));
  for (const char* text : {"", "3", "-3ms", "3h", "11s", "10.1s", "ms", "3 ms", "1e1ms", "nan",
                           "infs", "03ms", "99999999999999999999s"}) {
    EXPECT_FALSE(read_duration(text).ok()) << text;
  }
  EXPECT_EQ(read_link("3ms,30MB/s")->bytes_per_second, 30'000'000U);
  for (const char* text : {"", ",", "3ms", "3ms,", ",1MB/s", "3ms,1MB/s,", "3ms;1MB/s"}) {
    EXPECT_FALSE(read_link(text).ok()) << text;
  }
}

// Any text: what is accepted says nothing but digits, and reads back as itself.
TEST(NumberText, WhatIsAcceptedReadsBack) {
  constexpr std::string_view kCharacters = "0123456789.eE+-xGMKkibB/s, ";
  CounterRandom random(7);
  int accepted = 0;
  for (uint64_t round = 0; round < 100'000; ++round) {
    std::string text;
    const uint64_t length = random.bits(round, 99) % 6;
    for (uint64_t i = 0; i < length; ++i) {
      text += kCharacters[random.bits(round, i) % kCharacters.size()];
    }
    if (Result<uint64_t> whole = read_whole(text, {0, kMost})) {
      ++accepted;
      ASSERT_EQ(std::to_string(*whole), text);
      ASSERT_EQ(*read_decimal(text, {0, 1e20}), static_cast<double>(*whole));
      ASSERT_EQ(*read_size(text), *whole);
    }
    if (Result<uint64_t> size = read_size(text)) {
      ASSERT_EQ(*read_size(std::to_string(*size)), *size);
    }
    if (Result<double> decimal = read_decimal(text, {0, 1e9})) {
      ASSERT_EQ(std::stod(text), *decimal) << text;
    }
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace potluck
