// What is wrong or not supported is named, with line and column.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/template/rendering.h"

namespace potluck {
namespace {

using test::error_of;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Errors, NameWhatIsNotSupported) {
  struct Case {
    const char* source;
    const char* named;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"{% include 'x' %}", "'include'"},
           {"{% import 'os' as os %}", "'import'"},
           {"{% extends 'x' %}", "'extends'"},
           {"{% block a %}{% endblock %}", "'block'"},
           {"{% call f() %}{% endcall %}", "'call'"},
           {"{% raw %}{% endraw %}", "'raw'"},
           {"{% do x.append(1) %}", "'do'"},
           {"{% for a in b recursive %}{% endfor %}", "recursive"},
           {"{{ x | pprint }}", "'pprint'"},
           {"{{ x is frozen }}", "'frozen'"},
           {"{{ x[1, 2] }}", "subscripts of several"},
           {"{{ f(*a) }}", "unpacked"},
           {"{{ f(**a) }}", "unpacked"},
           {"{{ '%s' % 1 }}", "'%'"},
           {"{{ 'a'.encode() }}", "'encode'"},
           {"{{ ''.__class__() }}", "'__class__'"},
           {"{{ {}.setdefault('a') }}", "'setdefault'"},
           {"{{ (1,).append(2) }}", "'append'"},
           {"{{ open('f') }}", "open is no function"},
           {"{% for i in [1] %}{{ loop.cycle('a') }}{% endfor %}", "loop.cycle"},
           {"{{ 99999999999999999999 }}", "64 bits"},
           {"{{ 0x10 }}", "decimal"},
           {"{{ '\\101' }}", "octal"},
           {"{{ strftime_now('%9999999d') }}", "%9"},
           {"{{ '{:>999999999}'.format(1) }}", "format"}}) {
    EXPECT_THAT(error_of(c.source), HasSubstr(c.named)) << c.source;
    EXPECT_THAT(error_of(c.source), StartsWith("line 1, column ")) << c.source;
  }
}

TEST(Errors, SayWhereTheTemplateIsBroken) {
  struct Case {
    const char* source;
    const char* message;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"a\n {{ x", "line 2, column 2: the tag has no end"},
           {"{# x", "line 1, column 1: the comment has no end"},
           {"{{ 'x }}", "line 1, column 4: the string has no end"},
           {"{{ (1] }}", "line 1, column 6: unexpected ']'"},
           {"{{ $ }}", "line 1, column 4: unexpected character '$'"},
           {"{{ }}", "line 1, column 4: expected an expression, found '}}'"},
           {"{{ 1 2 }}", "line 1, column 6: expected '}}', found '2'"},
           {"{% if x %}",
            "line 1, column 11: expected the end of 'if', found the end of the "
            "template"},
           {"{% if x %}{% endfor %}", "line 1, column 14: expected 'endif', found 'endfor'"},
           {"{% endif %}", "line 1, column 4: 'endif' closes nothing"},
           {"{% break %}", "line 1, column 4: 'break' and 'continue' belong into a loop"},
           {"{% for x in y %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
            "line 1, column 35: 'break' and 'continue' belong into a loop"},
           {"{{ x | }}", "line 1, column 8: expected the name of a filter, found '}}'"},
           {"{% for x of y %}{% endfor %}", "line 1, column 10: expected 'in', found 'of'"},
           {"{{ f(a=1, 2) }}",
            "line 1, column 11: expected a named argument, as the one before it is, found '2'"}}) {
    EXPECT_EQ(error_of(c.source), c.message) << c.source;
  }
}

TEST(Errors, SayWhatWentWrongWhere) {
  struct Case {
    const char* source;
    const char* message;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"x\n{{ raise_exception('no\nway') }}",
            "line 2, column 19: the template refuses: no way"},
           {"{{ missing.name }}", "line 1, column 11: missing is undefined, so it has no 'name'"},
           {"{{ a.b.c }}", "line 1, column 7: a.b is undefined, so it has no 'c'"},
           {"{{ missing['x'] }}", "line 1, column 11: missing is undefined"},
           {"{{ 1 + missing }}", "line 1, column 6: missing is undefined"},
           {"{{ 1 + 'a' }}", "line 1, column 6: '+' does not work on int and str"},
           {"{{ 1 < 'a' }}", "line 1, column 4: comparing does not work on int and str"},
           {"{{ 1 // 0 }}", "line 1, column 6: division by zero"},
           {"{{ 1.0 % 0 }}", "line 1, column 8: division by zero"},
           {"{{ 9223372036854775807 + 1 }}",
            "line 1, column 24: a whole number leaves the range of 64 bits"},
           {"{{ (-9223372036854775807 - 1) // -1 }}",
            "line 1, column 31: a whole number leaves the range of 64 bits"},
           {"{{ 7 ** 99 }}", "line 1, column 6: a whole number leaves the range of 64 bits"},
           {"{% for x in 5 %}{% endfor %}",
            "line 1, column 13: a value of type int has no elements to go through"},
           {"{% for a, b in [[1]] %}{% endfor %}",
            "line 1, column 4: expected 2 values to unpack, found 1"},
           {"{% set a.b = 1 %}", "line 1, column 4: a is no namespace: only these take attributes"},
           {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
            "line 1, column 35: the macro 'm' takes 1 argument(s), found others"},
           {"{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}",
            "line 1, column 35: the macro 'm' takes 1 argument(s), found others"},
           {"{{ 'a' | trim('a', chars='b') }}",
            "line 1, column 10: 'trim' takes the arguments (chars), found others"},
           {"{{ 'a'.find('a', sub='b') }}",
            "line 1, column 12: 'find' takes the arguments (sub), found others"},
           {"{{ strftime_now('%Y', zone='x') }}",
            "line 1, column 16: 'strftime_now' takes the arguments (format), found others"},
           {"{{ raise_exception('a', 'b') }}",
            "line 1, column 19: 'raise_exception' takes the arguments (message), found others"},
           {"{{ raise_exception(message='no') }}", "line 1, column 19: the template refuses: no"},
           {"{{ 'a' | trim(1, 2) }}",
            "line 1, column 10: 'trim' takes the arguments (chars), found others"},
           {"{{ 'a' | trim(x=2) }}",
            "line 1, column 10: 'trim' takes the arguments (chars), found others"},
           {"{{ missing | tojson }}",
            "line 1, column 14: a value of type undefined cannot become JSON"},
           {"{{ {[]: 1} }}",
            "line 1, column 5: keys of mappings are texts or whole numbers, found list"},
           {"{{ '[1' | from_json }}", "line 1, column 11: not JSON from byte 3 on"},
           {"{{ [].pop() }}", "line 1, column 10: pop: no element -1 in a list of 0"},
           {"{{ ''.split('') }}", "line 1, column 12: split: the separator is empty"},
           {"{{ range(1, 2, 0) }}",
            "line 1, column 9: range: expected (stop) or (start, stop, "
            "step), the step not zero"}}) {
    EXPECT_EQ(error_of(c.source, R"({"a": {}})"), c.message) << c.source;
  }
}

TEST(Errors, AreCutBetweenCharacters) {
  const std::string all = "'" + std::string(299, 'a') + "\xC3\xA9'";
  EXPECT_EQ(error_of("{{ raise_exception(" + all + ") }}"),
            "line 1, column 19: the template refuses: " + std::string(299, 'a'));
}

}  // namespace
}  // namespace potluck
