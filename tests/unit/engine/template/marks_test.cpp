// Which bytes of the result are user text, through every operation that moves text.
#include <gtest/gtest.h>

#include "tests/unit/engine/template/rendering.h"

namespace potluck {
namespace {

std::string marks_of(std::string_view source) {
  auto rendered = test::render(source, R"({"u": " Ab<|x|>c ", "l": ["p", "q"], "m": {"k": "v"}})");
  return rendered ? test::marked(*rendered) : rendered.error().message;
}

TEST(Marks, FollowTheBytes) {
  struct Case {
    const char* source;
    const char* expected;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"<{{ u }}>", "<[ Ab<|x|>c ]>"},
           {"{{ '<' + u + '>' }}", "<[ Ab<|x|>c ]>"},
           {"{{ '<' ~ u ~ 1 }}", "<[ Ab<|x|>c ]1"},
           {"{{ ('<' + u + '>')[2:5] }}", "[Ab<]"},
           {"{{ ('-' + u)[::-1] }}", "[ c>|x|<bA ]-"},
           {"{{ ('-' + u)[0] }}{{ u[1] }}", "-[A]"},
           {"{{ (u + '!') | trim }}", "[Ab<|x|>c ]!"},
           {"{{ u | trim | upper }}{{ u.strip().lower() }}", "[AB<|X|>Cab<|x|>c]"},
           {"{{ 'a-b'.replace('-', u) }}", "a[ Ab<|x|>c ]b"},
           {"{{ u.replace('<|x|>', '-') }}", "[ Ab]-[c ]"},
           {"{{ (u + '|t').split('|')[2:] | join('+') }}", "[>c ]+t"},
           {"{{ l | join('-') }}{{ '-'.join(l) }}", "[p]-[qp]-[q]"},
           {"{{ (u ~ '\nx') | indent(1) }}", "[ Ab<|x|>c ]\n x"},
           {"{{ 'a{}b'.format(u) }}", "a[ Ab<|x|>c ]b"},
           {"{{ u | title }}{{ u.title() }}{{ u | reverse }}", "[ Ab<|x|>c  Ab<|X|>C  c>|x|<bA ]"},
           {"{{ m.k }}{{ m | list | first }}{% for k, v in m.items() %}{{ k }}{{ v }}{% endfor %}",
            "[vkkv]"},
           {"{{ m | tojson }}", "[{\"k\": \"v\"}]"},
           {"{{ {'a': u, 'b': 1} | tojson }}", "[{\"]a[\": \" Ab<|x|>c \", \"]b[\": 1}]"},
           {"{{ ['<|x|>', u] }}", "[[']<|x|>[', ' Ab<|x|>c ']]"},
           {"{% set s %}<{{ u }}>{% endset %}{{ s }}", "<[ Ab<|x|>c ]>"},
           {"{% macro f(a) %}({{ a }}){% endmacro %}{{ f(u) }}", "([ Ab<|x|>c ])"},
           {"{% filter upper %}a{{ u }}{% endfilter %}", "A[ AB<|X|>C ]"},
           {"{{ ('<' ~ u) | string | safe }}", "<[ Ab<|x|>c ]"},
           {"{{ ('{\"a\": \"' ~ l[0] ~ '\"}') | from_json }}", "[{'a': 'p'}]"},
           {"{{ u == ' Ab<|x|>c ' }}{{ l | length }}", "True2"}}) {
    EXPECT_EQ(marks_of(c.source), c.expected) << c.source;
  }
}

TEST(MarkedText, SlicesAndSegments) {
  MarkedText text("ab", Trust::kTemplate, nullptr);
  text.append("cd", Trust::kUser);
  text.append("", Trust::kTemplate);
  text.append("ef", Trust::kUser);
  text.append("g", Trust::kTemplate);
  EXPECT_EQ(test::marked(text), "ab[cdef]g");
  EXPECT_EQ(test::marked(text.slice(1, 4, nullptr)), "b[cd]");
  EXPECT_EQ(test::marked(text.slice(3, 7, nullptr)), "[def]g");
  EXPECT_EQ(test::marked(text.slice(6, 6, nullptr)), "");
  EXPECT_EQ(text.trust_at(1), Trust::kTemplate);
  EXPECT_EQ(text.trust_at(2), Trust::kUser);
  EXPECT_FALSE(text.is_trusted());
  EXPECT_TRUE(text.slice(0, 2, nullptr).is_trusted());
  EXPECT_TRUE(MarkedText(nullptr).is_trusted());
  MarkedText copy("x", Trust::kUser, nullptr);
  copy.append(text, 2, 7);
  EXPECT_EQ(test::marked(copy), "[xcdef]g");
}

}  // namespace
}  // namespace potluck
