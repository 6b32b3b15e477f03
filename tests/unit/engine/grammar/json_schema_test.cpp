// JSON schemas: which texts their rules allow, and which schemas are refused.
#include "engine/grammar/json_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/grammar/grammar_support.h"

namespace potluck {
namespace {

using test::schema_error;
using testing::HasSubstr;

struct SchemaCase {
  const char* schema;
  std::vector<std::string> allowed;
  std::vector<std::string> refused;
};

void check(const std::vector<SchemaCase>& cases) {
  for (const SchemaCase& one : cases) {
    auto grammar = test::schema_grammar(one.schema);
    ASSERT_TRUE(grammar) << one.schema << ": " << grammar.error().message;
    for (const auto& text : one.allowed) {
      EXPECT_EQ(test::reading(*grammar, text), "yes") << one.schema << ": " << text;
    }
    for (const auto& text : one.refused) {
      EXPECT_NE(test::reading(*grammar, text), "yes") << one.schema << ": " << text;
    }
  }
}

TEST(JsonSchema, Scalars) {
  check({
      {R"({"type": "boolean"})", {"true", "false"}, {"null", "True", "\"true\""}},
      {R"({"type": ["null", "integer"]})",
       {"null", "0", "-17", "123456"},
       {"01", "1.5", "--1", "-"}},
      {R"({"type": "number"})", {"0", "-0.5", "1e5", "2.5E-3"}, {".5", "1.", "+1", "1e", "1e999"}},
      {R"({"const": "a\"b"})", {R"("a\"b")"}, {"\"a\"", "\"ab\""}},
      {R"({"enum": ["a", "ab", 3, null, [1, 2]]})",
       {"\"a\"", "\"ab\"", "3", "null", "[1, 2]"},
       {"\"b\"", "[1]"}},
      {R"({"enum": ["a", 1, 2.5], "type": "integer"})", {"1"}, {"\"a\"", "2.5"}},
      {R"({"type": "string"})",
       {"\"\"", "\"ä\\n\\u00e4\\ud83d\\ude00\"", "\"a'b/\""},
       {"\"\n\"", "\"\\x\"", "\"\\ud83d\"", "'a'", "\"\\ude00\""}},
      {R"({"type": "string", "minLength": 2, "maxLength": 3})",
       {"\"ab\"", "\"ä😀c\"", "\"\\n\\u0041\""},
       {"\"a\"", "\"abcd\"", "\"\\n\""}},
      {R"({"type": "string", "maxLength": 100})",
       {"\"" + std::string(100, 'a') + "\""},
       {"\"" + std::string(101, 'a') + "\""}},
  });
}

TEST(JsonSchema, Patterns) {
  check({
      {R"({"type": "string", "pattern": "^[A-Z]{2}-\\d+$"})",
       {"\"AB-1\"", "\"XY-123\""},
       {"\"AB-\"", "\"aB-1\"", "\"AB-1x\""}},
      {R"({"type": "string", "pattern": "b"})", {"\"b\"", "\"abc\""}, {"\"\"", "\"ac\""}},
      {R"({"type": "string", "pattern": "^a|b$"})", {"\"a\"", "\"axy\"", "\"xyb\""}, {"\"xay\""}},
      {R"({"pattern": "^(?:a|b)*?$", "minLength": 2, "maxLength": 3})",
       {"\"ab\"", "\"bbb\""},
       {"\"a\"", "\"abab\"", "\"ac\""}},
      {R"({"pattern": "^\"\\n$"})", {R"("\"\n")"}, {"\"n\""}},
      {R"({"pattern": "^[^a]$"})", {"\"b\"", "\"\\\"\"", "\"\\\\\""}, {"\"a\"", "\"bb\""}},
      {R"({"format": "date"})",
       {"\"2024-02-29\"", "\"1999-12-31\""},
       {"\"2023-02-29\"", "\"2024-13-01\"", "\"2024-04-31\"", "\"1900-02-29\""}},
      {R"({"format": "date-time"})",
       {"\"2024-02-29T23:59:59Z\"", "\"2024-02-01T00:00:00.5+01:30\""},
       {"\"2024-02-29 23:59:59Z\"", "\"2024-02-29T24:00:00Z\""}},
      {R"({"format": "uuid"})", {"\"01234567-89ab-cdef-0123-456789abcdef\""}, {"\"0123\""}},
      {R"({"format": "email"})", {"\"a.b@c-d.org\""}, {"\"a@b\"", "\"@b.c\""}},
      {R"({"format": "ipv4"})", {"\"255.0.10.199\""}, {"\"256.0.0.1\"", "\"1.2.3\""}},
      {R"({"format": "uri"})", {"\"https://a.example.org:80/b?c=d#e\""}, {"\"nothing\""}},
  });
}

TEST(JsonSchema, Numbers) {
  check({
      {R"({"type": "integer", "minimum": 5, "maximum": 1234})",
       {"5", "9", "10", "99", "1234"},
       {"4", "1235", "0", "-5", "05", "12340"}},
      {R"({"type": "integer", "minimum": -12, "exclusiveMaximum": 3})",
       {"-12", "-1", "0", "2"},
       {"-13", "3", "-0"}},
      {R"({"type": "integer", "minimum": 0.5})", {"1", "1000"}, {"0", "-1"}},
      {R"({"type": "integer", "maximum": -7})", {"-7", "-8", "-100"}, {"-6", "0", "7"}},
      {R"({"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991})",
       {"0", "9007199254740991"},
       {"9007199254740992"}},
      {R"({"type": "number", "minimum": 0, "maximum": 1})",
       {"0", "0.25", "1", "1.0"},
       {"1.1", "-0.1", "1.01", "2"}},
      {R"({"type": "number", "exclusiveMinimum": 0, "maximum": 2})",
       {"0.1", "1", "2"},
       {"0", "0.0", "2.5"}},
      {R"({"type": "number", "minimum": -2, "exclusiveMaximum": 0})",
       {"-2", "-0.5", "-1.9"},
       {"0", "-2.1", "1"}},
  });
}

TEST(JsonSchema, Objects) {
  const char* person = R"({"type": "object", "properties": {"name": {"type": "string"},
      "age": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["x", "y"]}}},
      "required": ["name"], "additionalProperties": false})";
  check({
      {person,
       {R"({"name": "a"})", R"({"name":"a","age":1})", "{\n  \"name\": \"a\",\n  \"tags\": []\n}",
        R"({"name": "a", "tags": ["x", "y"]})"},
       {"{}", R"({"age": 1, "name": "a"})", R"({"name": "a",})", R"({"name": "a", "b": 1})",
        R"({"name": 1})", R"({"name": "a"  })"}},
      {R"({"type": "object"})", {"{}", R"({"a": {"b": [1, "c", null]}})"}, {"[]", "{\"a\"}"}},
      {R"({"properties": {"a": {}}, "additionalProperties": {"type": "integer"}})",
       {"{}", R"({"a": "x", "b": 1, "ab": 2, "": 3})"},
       {R"({"b": "x"})", R"({"a": 1, "a": 2})", R"({"\u0061": 1})"}},
      {R"({"type": "object", "required": ["x"], "additionalProperties": {"type": "null"}})",
       {R"({"x": null})", R"({"x": null, "y": null})"},
       {"{}", R"({"x": 1})"}},
      {R"({"type": "object", "properties": {"a": false, "b": true}})",
       {"{}", R"({"b": 1})"},
       {R"({"a": 1})"}},
  });
}

TEST(JsonSchema, Arrays) {
  check({
      {R"({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3})",
       {"[true]", "[true, false,true]"},
       {"[]", "[true,true,true,true]", "[true,]"}},
      {R"({"type": "array", "items": {"type": "null"}, "maxItems": 0})", {"[]"}, {"[null]"}},
      {R"({"type": "array", "minItems": 12, "maxItems": 12, "items": {"const": 1}})",
       {"[1,1,1,1,1,1,1,1,1,1,1,1]"},
       {"[1,1,1,1,1,1,1,1,1,1,1]"}},
      {R"({"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false})",
       {"[]", "[1]", "[1, \"a\"]"},
       {"[\"a\"]", "[1, \"a\", 2]"}},
      {R"({"prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 2, "maxItems": 3})",
       {"[1, 2]", "[1, 2, 2]"},
       {"[1]", "[2]", "[1, 2, 2, 2]"}},
      {R"({"type": "array", "items": false})", {"[]"}, {"[1]"}},
  });
}

TEST(JsonSchema, Combinations) {
  check({
      {R"({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]})",
       {"1", "\"a\""},
       {"\"ab\"", "null"}},
      {R"({"allOf": [{"properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
          {"properties": {"a": {"maximum": 5}, "b": {"type": "null"}}, "required": ["b"]}]})",
       {R"({"a": 4, "b": null})"},
       {R"({"a": 2, "b": null})", R"({"a": 6, "b": null})", R"({"a": 4})"}},
      {R"({"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"],
          "anyOf": [{"properties": {"b": {"const": 2}}, "required": ["b"]},
                    {"properties": {"c": {"const": 3}}, "required": ["c"]}]})",
       {R"({"a": 1, "b": 2})", R"({"a": 1, "c": 3})"},
       {R"({"a": 1})", R"({"b": 2})"}},
      {R"({"oneOf": [{"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]},
          {"type": "object", "properties": {"k": {"const": "b"}, "v": {}}, "required": ["k"]}]})",
       {R"({"k": "a"})", R"({"k": "b", "v": [1]})"},
       {R"({"k": "a", "v": 1})"}},
      {R"({"$ref": "#/$defs/list", "$defs": {"list": {"type": "object",
          "properties": {"value": {"type": "integer"},
                         "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/list"}]}},
          "required": ["value", "next"]}}})",
       {R"({"value": 1, "next": {"value": 2, "next": null}})"},
       {R"({"value": 1})"}},
      {R"({"type": "object", "properties": {"child": {"$ref": "#"}}})",
       {"{}", R"({"child": {"child": {}}})"},
       {R"({"child": 1})"}},
  });
}

TEST(JsonSchema, WhatIsNotSupportedIsNamed) {
  EXPECT_THAT(schema_error(R"({"properties": {"a": {"multipleOf": 3}}})"),
              HasSubstr("properties.a.multipleOf: this keyword is not supported"));
  for (const char* keyword : {"not", "if", "patternProperties", "uniqueItems", "contains",
                              "dependentRequired", "propertyNames", "maxProperties"}) {
    const std::string schema = std::string("{\"") + keyword + "\": {}}";
    EXPECT_THAT(schema_error(schema), HasSubstr(keyword));
  }
  EXPECT_THAT(schema_error(R"({"type": "number", "minimum": 0.5})"), HasSubstr("must be whole"));
  EXPECT_THAT(schema_error(R"({"pattern": "(?=a)b"})"), HasSubstr("pattern: line 1, column 2"));
  EXPECT_THAT(schema_error(R"({"pattern": "\\bword"})"), HasSubstr("behind '\\'"));
  EXPECT_THAT(schema_error(R"({"format": "hostname"})"), HasSubstr("supported are date"));
  EXPECT_THAT(schema_error(R"({"$ref": "http://a/b"})"), HasSubstr("into the schema itself"));
  EXPECT_THAT(schema_error(R"({"$ref": "#/$defs/a"})"), HasSubstr("there is no '#/$defs/a'"));
  EXPECT_THAT(schema_error(R"({"$ref": "#"})"), HasSubstr("lead back"));
  EXPECT_THAT(schema_error(R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})"),
              HasSubstr("alternatives 0 and 1"));
  EXPECT_THAT(schema_error(R"({"type": "strin"})"), HasSubstr("expected null, boolean"));
  EXPECT_THAT(schema_error("false"), HasSubstr("no text"));
  EXPECT_THAT(schema_error(R"({"type": "string", "minLength": 3, "maxLength": 2})"),
              HasSubstr("no text"));
  EXPECT_THAT(schema_error(R"({"pattern": "^(a{999}){999}$"})"), HasSubstr("too complex"));
}

TEST(JsonSchema, AnnotationsAreSkipped) {
  check({{R"({"title": "T", "description": "d", "default": 1, "examples": [2], "$schema": "s",
             "$id": "i", "deprecated": true, "type": "null"})",
          {"null"},
          {"1"}}});
}

TEST(JsonSchema, StringsAvoidAMark) {
  auto schema = parse_json(R"({"type": "array", "items": {"type": "string", "maxLength": 40}})");
  ASSERT_TRUE(schema);
  auto grammar = test::schema_grammar(*schema, "</call>");
  ASSERT_TRUE(grammar);
  EXPECT_EQ(test::reading(*grammar, R"(["</call", "< </ <</cal", "<\/call>"])"), "yes");
  EXPECT_EQ(test::reading(*grammar, R"(["</call>)"), "no");
  EXPECT_EQ(test::reading(*grammar, R"(["<</call>)"), "no");
  auto constant = test::schema_grammar(*parse_json(R"({"const": "a</call>"})"), "</call>");
  ASSERT_TRUE(constant);
  EXPECT_EQ(test::reading(*constant, R"("a\u003c/call>")"), "yes");
}

}  // namespace
}  // namespace potluck
