#include "engine/template/json.h"

#include <gtest/gtest.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

TEST(Json, KeepsOrderAndKinds) {
  const auto parsed = parse_json(R"({"b": [1, -2, 2.5, true, null, "x\u00e4"], "a": {}})");
  ASSERT_TRUE(parsed.ok());
  const JsonValue::Object& object = *parsed->object();
  EXPECT_EQ(object[0].first, "b");
  EXPECT_EQ(object[1].first, "a");
  const JsonValue::Array& array = *object[0].second.array();
  EXPECT_EQ(std::get<int64_t>(array[0].data), 1);
  EXPECT_EQ(std::get<int64_t>(array[1].data), -2);
  EXPECT_EQ(std::get<double>(array[2].data), 2.5);
  EXPECT_EQ(std::get<bool>(array[3].data), true);
  EXPECT_TRUE(array[4].is_null());
  EXPECT_EQ(*array[5].text(), "x\xC3\xA4");
  EXPECT_TRUE(object[1].second.object()->empty());
}

TEST(Json, NumbersBeyond64BitsAreDoubles) {
  EXPECT_EQ(std::get<int64_t>(parse_json("9223372036854775807")->data), INT64_MAX);
  EXPECT_EQ(std::get<double>(parse_json("9223372036854775808")->data), 9223372036854775808.0);
}

TEST(Json, RefusesWhatIsNone) {
  for (const char* text : {"", "{", "[1,]", "tru", "1 2", "\"\xFF\"", "{1: 2}", "1e999999"}) {
    const auto parsed = parse_json(text);
    EXPECT_FALSE(parsed.ok()) << text;
  }
  const std::string deepest(limits::kJsonDepth, '[');
  EXPECT_TRUE(parse_json(deepest + std::string(limits::kJsonDepth, ']')).ok());
  EXPECT_EQ(parse_json("[" + deepest).error().message, "JSON nests deeper than 64");
}

}  // namespace
}  // namespace potluck
