#include "coordinator/cli/json_text.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/base/terminal_text.h"
#include "engine/base/utf8.h"

namespace potluck {
namespace {

using Json = nlohmann::json;

TEST(JsonText, BytesThatAreNoTextAreReplaced) {
  EXPECT_EQ(json_text({{"name", "bad\xff\xc3name"}}),
            "{\"name\":\"bad\xEF\xBF\xBD\xEF\xBF\xBDname\"}");
  EXPECT_EQ(json_text({{"\xff", 1}}), "{\"\xEF\xBF\xBD\":1}");
  EXPECT_EQ(json_text("\x1b[31m\n\x7f\xc2\x9b"), R"("\u001b[31m\n\u007f\u009b")");
  EXPECT_EQ(json_text({{"x", std::nan("")}}), "{\"x\":null}");
}

// Any texts: one line of valid UTF-8 that a terminal does not obey, and JSON that reads back.
TEST(JsonText, AnyTextsGiveJsonThatReadsBack) {
  CounterRandom random(3);
  for (uint64_t round = 0; round < 5000; ++round) {
    std::string text;
    for (uint64_t i = 0; i < 12; ++i) {
      const uint64_t bits = random.bits(round, i);
      const std::string_view likely[] = {"\xe2\x80", "\xae", "\xc2", "\x9b", "\x1b", "\"", "\\"};
      text += bits % 2 == 0 ? std::string(likely[(bits >> 8) % std::size(likely)])
                            : std::string(1, static_cast<char>(bits >> 8));
    }
    const std::string line = json_text({{text, Json::array({text, 1.5, nullptr})}});
    ASSERT_FALSE(find_invalid_utf8(line).has_value());
    ASSERT_EQ(terminal_line(line), line);
    Result<Json> back = read_json(line);
    ASSERT_TRUE(back.ok()) << line;
    ASSERT_EQ(json_text(*back), line);
    if (find_invalid_utf8(text).has_value()) continue;
    ASSERT_EQ(back->begin().key(), text);
  }
}

TEST(JsonText, ReadingNeverThrows) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("{\"a\":1e999}"), std::string("\"\xff\""),
        std::string("[1,]"), std::string("nul"), std::string("\0", 1), std::string(100'000, '['),
        std::string(1000, '{')}) {
    EXPECT_FALSE(read_json(text).ok());
  }
  EXPECT_EQ(read_json("{\"a\":[1,-2,0.5,true,null,\"x\"]}")->dump(),
            "{\"a\":[1,-2,0.5,true,null,\"x\"]}");
}

TEST(JsonText, FieldsOfAnotherTypeAreTheFallback) {
  const Json document = *read_json(
      R"({"number":7,"text":"t","list":[1],"object":{"a":1},"null":null,"half":0.5,"big":1e300})");
  EXPECT_EQ(whole_field(document, "number"), 7);
  EXPECT_EQ(text_field(document, "text", "?"), "t");
  EXPECT_EQ(list_field(document, "list").size(), 1U);
  EXPECT_EQ(object_field(document, "object").size(), 1U);
  for (const char* name : {"text", "list", "object", "null", "half", "big", "absent"}) {
    EXPECT_EQ(whole_field(document, name, -5), -5) << name;
  }
  EXPECT_EQ(decimal_field(document, "number"), 7);
  EXPECT_EQ(decimal_field(document, "half"), 0.5);
  for (const char* name : {"text", "list", "object", "null", "absent"}) {
    EXPECT_EQ(decimal_field(document, name, -5), -5) << name;
  }
  for (const char* name : {"number", "list", "object", "null", "absent"}) {
    EXPECT_EQ(text_field(document, name, "?"), "?") << name;
    EXPECT_EQ(list_field(document, name).size(), name == std::string("list") ? 1U : 0U);
    EXPECT_EQ(object_field(document, name).size(), name == std::string("object") ? 1U : 0U);
  }
  for (const Json& other : {Json(), Json(1), Json("x"), Json::array({1})}) {
    EXPECT_EQ(whole_field(other, "number"), 0);
    EXPECT_EQ(decimal_field(other, "number"), 0);
  }
}

}  // namespace
}  // namespace potluck
