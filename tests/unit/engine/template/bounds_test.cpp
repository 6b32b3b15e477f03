// Templates that ask for too much get an error, quickly and without taking the memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/template/rendering.h"

namespace potluck {
namespace {

using test::error_of;
using testing::HasSubstr;

std::string repeated(const std::string& text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Bounds, Steps) {
  EXPECT_THAT(error_of("{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}"
                       "{% endfor %}"),
              HasSubstr("steps"));
  EXPECT_THAT(error_of("{% set l = range(99999) %}{% for a in l %}{{ l == l and '' }}{% endfor %}"),
              HasSubstr("steps"));
}

TEST(Bounds, TextsAndLists) {
  EXPECT_THAT(error_of("{{ 'x' * 999999999999 }}"), HasSubstr("longer than"));
  EXPECT_THAT(error_of("{{ '' * 999999999999 }}"), HasSubstr("rendered"));
  EXPECT_THAT(error_of("{{ [1] * 999999999999 }}"), HasSubstr("longer than"));
  EXPECT_THAT(error_of("{{ range(999999999) }}"), HasSubstr("range: more than 100000"));
  EXPECT_THAT(error_of("{{ 'a' | indent(999999999, true) }}"), HasSubstr("longer than"));
  EXPECT_THAT(error_of("{{ [1] | tojson(indent=999999999) }}"), HasSubstr("indentation"));
  EXPECT_THAT(error_of("{% set a = 'x' * 100000 %}{{ a.replace('x', a) }}"),
              HasSubstr("longer than"));
  EXPECT_THAT(error_of("{% set a = 'x' * 100000 %}{{ range(9999) | join(a) }}"),
              HasSubstr("longer than"));
  EXPECT_THAT(error_of("{% set a = 'x' * 10000 * 6000 %}{{ a }}{{ a }}"), HasSubstr("longer than"));
}

TEST(Bounds, Memory) {
  EXPECT_THAT(error_of("{% set l = [] %}{% set a = 'x' * 1000 * 1000 %}{% for i in range(9999) %}"
                       "{% set _ = l.append(a ~ i) %}{% endfor %}"),
              HasSubstr("memory"));
  EXPECT_THAT(error_of("{% set ns = namespace(t='x') %}{% for i in range(99) %}"
                       "{% set ns.t = ns.t + ns.t %}{% endfor %}"),
              HasSubstr("longer than"));
}

TEST(Bounds, MemoryThatIsFreeAgainDoesNotCount) {
  EXPECT_EQ(test::render("{% set ns = namespace(t='') %}{% for i in range(280) %}"
                         "{% set ns.t = 'x' * 1000 * 1000 %}{% endfor %}{{ ns.t | length }}")
                ->bytes(),
            "1000000");
}

TEST(Bounds, Nesting) {
  EXPECT_THAT(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("nest"));
  for (const auto& [open, close] : {std::pair{"(", ")"}, {"[", "]"}, {"{'a': ", "}"}}) {
    EXPECT_THAT(error_of("{{ " + repeated(open, 5000) + "1" + repeated(close, 5000) + " }}"),
                HasSubstr("nest"));
  }
  EXPECT_THAT(error_of("{{ " + repeated("not ", 50000) + "1 }}"), HasSubstr("nest"));
  EXPECT_THAT(error_of("{{ " + repeated("-", 50000) + "1 }}"), HasSubstr("nest"));
  EXPECT_THAT(error_of("{{ 1" + repeated(" + 1", 50000) + " }}"), HasSubstr("nest"));
  EXPECT_THAT(error_of("{{ x" + repeated(".x", 50000) + " }}"), HasSubstr("nest"));
  EXPECT_THAT(error_of("{{ x" + repeated(" | trim", 50000) + " }}"), HasSubstr("nest"));
  EXPECT_THAT(error_of("{{ 1" + repeated(" if 1 else 1", 50000) + " }}"), HasSubstr("nest"));
  EXPECT_THAT(error_of(repeated("{% if 1 %}", 5000) + repeated("{% endif %}", 5000)),
              HasSubstr("nest"));
}

TEST(Bounds, RealNestingIsFine) {
  EXPECT_EQ(test::render("{{ 1" + repeated(" + 1", 150) + " }}")->bytes(), "151");
  EXPECT_EQ(test::render(repeated("{% if 1 %}", 100) + "x" + repeated("{% endif %}", 100))->bytes(),
            "x");
  EXPECT_EQ(test::render("{% macro m(n) %}{{ m(n - 1) if n else 'end' }}{% endmacro %}{{ m(50) }}")
                ->bytes(),
            "end");
}

TEST(Bounds, ValuesThatContainThemselves) {
  const std::string circle = "{% set l = [] %}{% set _ = l.append(l) %}";
  EXPECT_THAT(error_of(circle + "{{ l }}"), HasSubstr("nests"));
  EXPECT_THAT(error_of(circle + "{{ l | tojson }}"), HasSubstr("nests"));
  EXPECT_EQ(test::render(circle + "{{ l == [1] }}")->bytes(), "False");
  EXPECT_EQ(
      test::render("{% set n = namespace() %}{% set n.n = n %}{{ n.n.n is defined }}")->bytes(),
      "True");
  // Small, but of 2^60 elements when written.
  const std::string dag =
      "{% set n = namespace(l=['x']) %}{% for i in range(60) %}"
      "{% set n.l = [n.l, n.l] %}{% endfor %}";
  EXPECT_THAT(error_of(dag + "{{ n.l }}"), HasSubstr("than"));
  EXPECT_THAT(error_of(dag + "{{ n.l | tojson }}"), HasSubstr("than"));
  EXPECT_THAT(error_of(dag + "{% set m = n.l %}" + dag + "{{ n.l == m }}"), HasSubstr("steps"));
}

TEST(Bounds, TheTemplateItself) {
  EXPECT_THAT(error_of(std::string(limits::kTemplateBytes + 1, 'x')), HasSubstr("bytes"));
  EXPECT_THAT(error_of("a\xFF"), HasSubstr("UTF-8"));
  EXPECT_THAT(
      error_of("{{ a }}", "{\"a\": " + repeated("[", 60) + repeated("]", 60) + "}").substr(0, 8),
      "rendered");
  EXPECT_FALSE(parse_json(repeated("[", 100000)).ok());
}

}  // namespace
}  // namespace potluck
