#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "engine/gguf/gguf.h"

namespace potluck {
namespace {

using Integers = std::vector<int64_t>;
using Numbers = std::vector<double>;

// A MetadataValue that holds exactly a T.
template <class T>
MetadataValue held(T value) {
  return MetadataValue(std::in_place_type<T>, std::move(value));
}
template <class T>
MetadataValue array(std::vector<T> values) {
  return MetadataValue(std::in_place_type<MetadataArray>, std::move(values));
}

GgufMetadata one(MetadataValue value) {
  GgufMetadata metadata;
  EXPECT_TRUE(metadata.insert("k", std::move(value)));
  return metadata;
}

TEST(GgufMetadata, KeepsTheOrderAndRefusesDuplicates) {
  GgufMetadata metadata;
  EXPECT_TRUE(metadata.insert("b", held<uint64_t>(1)));
  EXPECT_TRUE(metadata.insert("a", held<uint64_t>(2)));
  EXPECT_FALSE(metadata.insert("b", held<uint64_t>(3)));
  EXPECT_EQ(metadata.keys(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(*metadata.integer("b"), 1u);
  EXPECT_TRUE(metadata.contains("a"));
  EXPECT_FALSE(metadata.contains("c"));
}

TEST(GgufMetadata, ConvertsIntegersWhereNothingIsLost) {
  EXPECT_EQ(*one(held<uint64_t>(UINT64_MAX)).integer("k"), UINT64_MAX);
  EXPECT_EQ(*one(held<int64_t>(7)).integer("k"), 7u);
  EXPECT_EQ(*one(held<double>(8.0)).integer("k"), 8u);
  EXPECT_EQ(*one(held<double>(0x1p63)).integer("k"), uint64_t{1} << 63);
  for (MetadataValue bad :
       {held<int64_t>(-1), held<double>(0.5), held<double>(-1.0), held<double>(0x1p64),
        held<double>(std::nan("")), held<double>(std::numeric_limits<double>::infinity()),
        held<bool>(true), held<std::string>("7"), array<int64_t>({7})}) {
    auto integer = one(bad).integer("k");
    ASSERT_FALSE(integer.ok());
    EXPECT_EQ(integer.error().code, ErrorCode::kCorrupt);
  }
}

TEST(GgufMetadata, ConvertsNumbersWhereNothingIsLost) {
  EXPECT_EQ(*one(held<double>(0.1)).number("k"), 0.1);
  EXPECT_EQ(*one(held<int64_t>(-3)).number("k"), -3.0);
  EXPECT_EQ(*one(held<uint64_t>(uint64_t{1} << 53)).number("k"), 0x1p53);
  EXPECT_FALSE(one(held<uint64_t>((uint64_t{1} << 53) + 1)).number("k").ok());
  EXPECT_FALSE(one(held<uint64_t>(UINT64_MAX)).number("k").ok());
  EXPECT_FALSE(one(held<int64_t>(INT64_MAX)).number("k").ok());
  EXPECT_EQ(*one(held<int64_t>(INT64_MIN)).number("k"), -0x1p63);
  EXPECT_FALSE(one(held<bool>(true)).number("k").ok());
  EXPECT_FALSE(one(held<std::string>("1")).number("k").ok());
}

TEST(GgufMetadata, TakesBooleansAndTextsAsTheyAre) {
  EXPECT_TRUE(*one(held<bool>(true)).boolean("k"));
  EXPECT_FALSE(*one(held<bool>(false)).boolean("k"));
  EXPECT_TRUE(*one(held<uint64_t>(1)).boolean("k"));  // some writers have no booleans
  EXPECT_FALSE(*one(held<int64_t>(0)).boolean("k"));
  EXPECT_FALSE(one(held<uint64_t>(2)).boolean("k").ok());
  EXPECT_FALSE(one(held<int64_t>(-1)).boolean("k").ok());
  EXPECT_EQ(*one(held<std::string>("qwen3moe")).text("k"), "qwen3moe");
  EXPECT_FALSE(one(held<uint64_t>(1)).text("k").ok());
  std::vector<std::string> words{"a", ""};
  EXPECT_EQ(*one(array<std::string>(words)).texts("k"), words);
  EXPECT_FALSE(one(held<std::string>("a")).texts("k").ok());
  EXPECT_FALSE(one(array<int64_t>({1})).texts("k").ok());
}

TEST(GgufMetadata, ConvertsArraysOfIntegers) {
  EXPECT_EQ(*one(array<int64_t>({-1, 2})).integers("k"), (Integers{-1, 2}));
  EXPECT_EQ(*one(array<uint64_t>({1, 2})).integers("k"), (Integers{1, 2}));
  EXPECT_EQ(*one(array<double>({1.0, -2.0})).integers("k"), (Integers{1, -2}));
  EXPECT_EQ(*one(array<bool>({true, false})).integers("k"), (Integers{1, 0}));
  EXPECT_FALSE(one(array<uint64_t>({1, UINT64_MAX})).integers("k").ok());
  EXPECT_FALSE(one(array<double>({1.0, 1.5})).integers("k").ok());
  EXPECT_FALSE(one(array<double>({0x1p63})).integers("k").ok());
  EXPECT_FALSE(one(array<std::string>({"1"})).integers("k").ok());
  EXPECT_FALSE(one(held<uint64_t>(1)).integers("k").ok());
}

TEST(GgufMetadata, ConvertsArraysOfNumbers) {
  EXPECT_EQ(*one(array<double>({0.5, 1.5})).numbers("k"), (Numbers{0.5, 1.5}));
  EXPECT_EQ(*one(array<int64_t>({-1})).numbers("k"), Numbers{-1.0});
  EXPECT_EQ(*one(array<uint64_t>({})).numbers("k"), Numbers{});
  EXPECT_FALSE(one(array<uint64_t>({UINT64_MAX})).numbers("k").ok());
  EXPECT_FALSE(one(array<bool>({true})).numbers("k").ok());
  EXPECT_FALSE(one(array<std::string>({"1"})).numbers("k").ok());
}

TEST(GgufMetadata, NamesKeyExpectationAndFinding) {
  GgufMetadata metadata;
  auto absent = metadata.integer("llama.block_count");
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(absent.error().message, "key \"llama.block_count\" is missing");
  EXPECT_EQ(metadata.texts("x").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(one(held<int64_t>(-4)).integer("k").error().message,
            "key \"k\": expected an integer that is not negative, found -4");
  EXPECT_EQ(one(held<std::string>("a\x1b")).number("k").error().message,
            "key \"k\": expected a number, found \"a\\x1b\"");
  EXPECT_EQ(one(array<std::string>({"a", "b"})).text("k").error().message,
            "key \"k\": expected a text, found an array of 2 texts");
  EXPECT_EQ(one(held<bool>(true)).numbers("k").error().message,
            "key \"k\": expected an array of numbers, found true");
}

}  // namespace
}  // namespace potluck
