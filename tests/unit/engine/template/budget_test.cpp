// No matter what a template asks for, a rendering takes no more memory than its budget, and no more
// work than its steps allow. This file replaces operator new for the whole test program, in order
// to count; a sanitizer has a replacement of its own, so there only the work is bounded.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include "engine/base/random.h"
#include "tests/support/sanitizers.h"
#include "tests/unit/engine/template/rendering.h"

namespace {

std::atomic<int64_t> live_bytes{0};
std::atomic<int64_t> most_bytes{0};

}  // namespace

#if !POTLUCK_SANITIZED
void* operator new(size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  const auto bytes = static_cast<int64_t>(malloc_usable_size(memory));
  const int64_t live = live_bytes.fetch_add(bytes) + bytes;
  if (live > most_bytes.load()) most_bytes.store(live);
  return memory;
}
void operator delete(void* memory) noexcept {
  if (memory != nullptr) live_bytes.fetch_sub(static_cast<int64_t>(malloc_usable_size(memory)));
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  operator delete(memory);
}
#endif

namespace potluck {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

// What a rendering may take beside its budget: error messages, the scopes of nested macros.
constexpr int64_t kSlackBytes = 128 * kKiB;

struct Taken {
  int64_t bytes;
  double seconds;
  std::string end;  // the error, or "rendered"
};

// Renders with the variables that the random expressions know.
Taken measure(const std::string& source, BudgetLimits limits, std::string_view variables = "{}") {
  auto block = parse_template(source);
  if (!block) return {0, 0, block.error().message};
  auto json = parse_json(variables);
  CHECK(json.ok());
  const auto start = std::chrono::steady_clock::now();
  const int64_t before = live_bytes.load();
  most_bytes.store(before);
  Heap heap(limits);
  Interpreter interpreter(&heap, test::kLocalSeconds);
  for (const auto& [name, value] : *json->object()) {
    auto converted = heap.from_json(value, Trust::kUser);
    if (converted) interpreter.set_variable(name, *converted);
  }
  auto rendered = interpreter.run(*block);
  const int64_t most = most_bytes.load() - before;
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  return {most, time.count(), rendered ? "rendered" : rendered.error().message};
}

// Each of these took memory or time first and asked for it afterwards.
const char* const kAttacks[] = {
    "{% for i in range(9999) %}{{ 'a'|replace(b,b) }}{% endfor %}",
    "{% for i in range(9999) %}{{ []|join(b) }}{% endfor %}",
    "{% for i in range(9999) %}{{ [1, 2]|join(b) }}{% endfor %}",
    "{% for i in range(9999) %}{{ 1|tojson(separators=(b,b)) }}{% endfor %}",
    "{% for i in range(9999) %}{{ [1, 2, 3]|tojson(separators=(b,b)) }}{% endfor %}",
    "{% for i in range(99999) %}{{ b.removeprefix(b) }}{{ b.startswith(b) }}{% endfor %}",
    "{% set d={} %}{% for i in range(20) %}{% set _=d.update({'k'~i:1}) %}{% endfor %}"
    "{% for i in range(9999) %}{{ d.get(b,'') }}{{ d[b] }}{% endfor %}",
    "{% set d={} %}{% for i in range(20) %}{% set _=d.update({b~i:1}) %}{% endfor %}"
    "{% for i in range(9999) %}{% set _=d.pop(b~'0') %}{% set _=d.update({b~'0':1}) %}{% endfor %}",
    "{{ b[::2]|length }}",
    "{{ b[::-1]|length }}",
    "{{ (n*1000000).splitlines()|length }}",
    "{{ (n*1000000).split()|length }}{{ ('a '*500000).split()|length }}",
    "{{ ('a '*500000).rsplit(none, 3)|length }}",
    "{{ b.split('x')|length }}",
    "{{ b.rsplit('x')|length }}{{ b.rsplit('x', 999999)|length }}",
    "{{ ('['~('0,'*400000)~'0]')|from_json|length }}",
    "{{ ('['~('[],'*300000)~'0]')|from_json|length }}",
    "{{ ('{'~('\"a\":0,'*100000)~'\"b\":0}')|from_json|length }}",
    "{{ ('\"'~b~'\"')|from_json|length }}",
    "{% set l=range(100000)|list %}{% for i in range(9999) %}{% set x=l|first %}{% endfor %}",
    "{% for i in range(9999) %}{{ ('a'|indent(b))[:0] }}{% endfor %}",
    "{{ (n*1000000)|indent(9, true, true) }}",
    "{% set l=[] %}{% for i in range(100000) %}{% set _=l.append(l) %}{% endfor %}{{ (l==l) }}",
    "{{ b|list|length }}{{ b|map('upper')|list|length }}",
    "{{ b|upper|lower|title|capitalize|reverse|length }}",
    "{{ strftime_now('%c'*400000)|length }}",
    "{{ ('{0}'*400000).format(b) }}",
    "{{ [b]*90000 }}",
    "{{ ([1]*90000)|tojson(indent=1000) }}",
    "{% set l=[1]*90000 %}{% for i in range(99) %}{% set l=l+l %}{{ l|length }}{% endfor %}",
    "{% set l=range(99999)|list %}{{ (l|sort|unique|list) + (l|sort(reverse=true)) }}",
    "{% set l=range(99999)|list %}{{ l[::-1]|length }}{{ l[1:]|length }}{{ l[:-1]|length }}",
    "{% for i in range(9999) %}{{ b is upper }}{{ b is lower }}{{ b|int }}{{ b|float }}{% endfor "
    "%}",
    "{% for i in range(9999) %}{{ b|length }}{{ b[5] }}{{ b[5:6] }}{{ b in b }}{% endfor %}",
    "{% for i in range(9999) %}{{ b|trim('xy') }}{{ b.count('x') }}{{ b.find('z') }}{% endfor %}",
    "{% set d=dict(a=1) %}{% for i in range(99999) %}{% set _=d.update({i: [i]}) %}{% endfor %}"
    "{% for i in range(99) %}{{ d|dictsort|length }}{{ d.items()|list|length }}{% endfor %}",
    "{% set ns=namespace(t=b) %}{% for i in range(99) %}{% set ns.t=ns.t~ns.t %}{% endfor %}",
    "{% macro m(n) %}{{ b }}{{ m(n) if n }}{% endmacro %}{{ m(1) }}",
    "{% for i in range(99999) %}{% macro m() %}{% endmacro %}{% endfor %}",
    "{% filter upper %}{% for i in range(99) %}{{ b }}{% endfor %}{% endfilter %}",
    "{% set x %}{% for i in range(99) %}{{ b }}{% endfor %}{% endset %}",
    "{{ [b, b, b]|sum(start='') }}{{ [b, b]|min }}{{ [b, b]|unique|list|length }}",
    "{{ [[b], [b]]|string }}{{ {'a': b}|string }}{{ {'a': b}|tojson(ensure_ascii=true) }}",
};

std::string attack(const char* tail) {
  return std::string("{% set b=('x'*1000)*1000 %}{% set n='\\n' %}") + tail;
}

TEST(Budget, AttacksTakeNoMoreThanTheyAreGiven) {
  const BudgetLimits limits{2'000'000, 8 * kMiB};
  for (const char* tail : kAttacks) {
    const Taken taken = measure(attack(tail), limits);
    EXPECT_LE(taken.bytes, static_cast<int64_t>(limits.memory) + kSlackBytes) << tail;
    EXPECT_LT(taken.seconds, 10) << tail << ": " << taken.end;
    EXPECT_THAT(taken.end, AnyOf(HasSubstr("rendered"), HasSubstr("steps"), HasSubstr("memory"),
                                 HasSubstr("longer than"), HasSubstr("nest")))
        << tail;
  }
}

TEST(Budget, ManyNamesAreNotSearchedForNothing) {
  std::string source = "{% macro m(";
  for (int i = 0; i < 3000; ++i) source += "a" + std::to_string(i) + "=1,";
  source += "z=1) %}{% endmacro %}{% for i in range(99999) %}{{ m(";
  for (int i = 0; i < 3000; ++i) source += "a" + std::to_string(i) + "=1,";
  source += "z=1) }}{% endfor %}";
  const Taken taken = measure(source, {1'000'000, 8 * kMiB});
  EXPECT_THAT(taken.end, HasSubstr("steps"));
  EXPECT_LT(taken.seconds, 10);
}

// --- Random templates ------------------------------------------------------------------------

// Writes templates that mostly make sense, of everything that makes texts and lists.
class RandomTemplate {
 public:
  explicit RandomTemplate(uint64_t seed) : random_(seed) {}

  std::string make() {
    std::string source;
    for (uint64_t i = 0; i < 1 + pick(4); ++i) source += statement(3);
    return source;
  }

 private:
  using Choices = std::initializer_list<const char*>;

  uint64_t pick(uint64_t count) { return random_.bits(next_++) % count; }
  std::string any(Choices choices) { return *(choices.begin() + pick(choices.size())); }
  std::string number() {
    return any({"0", "1", "2", "-1", "3", "7", "50", "1000", "99999", "100000000", "(i or 4)"});
  }

  std::string text(uint32_t depth) {
    if (depth == 0 || pick(5) == 0) {
      return any({"'a'", "''", "t", "u", "w", "'\\n'", "', '", "' '", "j", "'{}{0}'", "'%c%Y'"});
    }
    const std::string of = "(" + text(depth - 1) + ")";
    switch (pick(13)) {
      case 0:
        return of + " * " + number();
      case 1:
        return of + " ~ " + value(depth - 1);
      case 2:
        return of + " + " + text(depth - 1);
      case 3:
        return of + any({"|upper", "|lower", "|title", "|capitalize", "|trim", "|reverse", "|safe",
                         "|string", "|tojson", "|first", "|last", "|indent", "|default"});
      case 4:
        return of + "|replace(" + text(depth - 1) + ", " + text(depth - 1) + ")";
      case 5:
        return of + "|indent(" + any({"3", "t", "100", "u"}) + ", true, " + any({"true", "false"}) +
               ")";
      case 6:
        return list(depth - 1) + "|join(" + text(depth - 1) + ")";
      case 7:
        return value(depth - 1) + "|tojson(indent=" + number() + ")";
      case 8:
        return value(depth - 1) + "|tojson(separators=(" + text(0) + ", " + text(0) + "))";
      case 9:
        return of + "[" + number() + ":" + any({"", "9", "-1"}) + ":" + any({"1", "2", "-1", "3"}) +
               "]";
      case 10:
        return of + ".format(" + value(depth - 1) + ", " + value(0) + ")";
      case 11:
        return of + any({".strip()", ".lstrip(t)", ".rstrip()", ".replace('a', u)", ".upper()",
                         ".removeprefix(t)", ".title()", ".join(l)", ".join(t)"});
      default:
        return "strftime_now(" + of + ")";
    }
  }

  std::string list(uint32_t depth) {
    if (depth == 0 || pick(6) == 0) return any({"[]", "l", "[1, 2]", "m", "range(9)", "[t, u]"});
    const std::string of = "(" + list(depth - 1) + ")";
    switch (pick(12)) {
      case 0:
        return of + " * " + number();
      case 1:
        return of + " + " + list(depth - 1);
      case 2:
        return of +
               any({"|list", "|sort", "|unique|list", "|reverse", "|map('string')|list",
                    "|select|list", "|reject('none')|list", "|map('upper')|list",
                    "|map(attribute='k')|list", "|sort(reverse=true)", "|items|list", "|dictsort"});
      case 3:
        return "(" + text(depth - 1) + ").split(" + any({"", "'a'", "' '", "t", "none, 3"}) + ")";
      case 4:
        return "(" + text(depth - 1) + ").rsplit(" + any({"", "'a', 99", "' '", "none, 3"}) + ")";
      case 5:
        return "(" + text(depth - 1) + ").splitlines()";
      case 6:
        return "(" + text(depth - 1) + ")|list";
      case 7:
        return "range(" + number() + ")";
      case 8:
        return of + "[" + number() + ":" + any({"", "9", "-1"}) + ":" + any({"1", "2", "-1", "3"}) +
               "]";
      case 9:
        return "(" + text(depth - 1) + ")|from_json";
      case 10:
        return "[" + value(depth - 1) + ", " + value(depth - 1) + "]";
      default:
        return of + "|batch(2)";
    }
  }

  std::string value(uint32_t depth) {
    switch (pick(5)) {
      case 0:
        return "(" + list(depth) + ")";
      case 1:
        return number();
      case 2:
        return any({"m", "m.k", "m.items()", "m.keys()|list", "dict(a=t)", "{'x': l}", "none"});
      default:
        return "(" + text(depth) + ")";
    }
  }

  std::string statement(uint32_t depth) {
    if (depth == 0) return "{{ " + value(2) + " }}";
    switch (pick(10)) {
      case 0:
        return "{% for i in " + list(2) + " %}" + statement(depth - 1) + "{% endfor %}";
      case 1:
        return "{% for i in range(99) %}" + statement(depth - 1) + "{% endfor %}";
      case 2:
        return "{% set " + any({"t", "u"}) + " = " + text(3) + " %}" + statement(depth - 1);
      case 3:
        return "{% set l = " + list(3) + " %}" + statement(depth - 1);
      case 4:
        return "{% set u %}" + statement(depth - 1) + statement(depth - 1) + "{% endset %}";
      case 5:
        return "{% filter " + any({"upper", "indent", "replace('a', t)"}) + " %}" +
               statement(depth - 1) + "{% endfilter %}";
      case 6:
        return "{% set _ = l.append(" + value(2) + ") %}{% set _ = m.update({t: l}) %}" +
               statement(depth - 1);
      case 7:
        return "{% macro f(x, y=1) %}" + statement(depth - 1) + "{% endmacro %}{{ f(" + value(1) +
               ") }}";
      default:
        return "{{ " + value(3) + " }}";
    }
  }

  CounterRandom random_;
  uint64_t next_ = 0;
};

// Bounds of memory: most of the random templates exceed the smaller ones.
TEST(Budget, RandomTemplatesTakeNoMoreThanTheyAreGiven) {
  const char* const variables =
      R"({"t": "some text, with words", "u": "äöü\nßẞ 日本語\r\n", "w": "a b  c\n\nd", "l": [3, "x", null, [1], {"k": "v"}],)"
      R"( "m": {"k": "v", "n": 7, "o": {"p": [1, 2.5, true]}}, "j": "[1, {\"a\": [2, 3]}, \"x\"]"})";
  const bool soaks = std::getenv("POTLUCK_SOAK") != nullptr;
  const uint64_t templates = soaks ? 400'000 : 6'000;
  uint64_t rendered = 0;
  uint64_t refused = 0;
  for (uint64_t seed = 0; seed < templates; ++seed) {
    const std::string source = RandomTemplate(seed).make();
    const BudgetLimits limits{100'000, (seed % 3 == 0 ? 32 : seed % 3 == 1 ? 256 : 4096) * kKiB};
    const Taken taken = measure(source, limits, variables);
    ASSERT_LE(taken.bytes, static_cast<int64_t>(limits.memory) + kSlackBytes)
        << "seed " << seed << ": " << source << "\n"
        << taken.end;
    ASSERT_LT(taken.seconds, 5) << "seed " << seed << ": " << source << "\n" << taken.end;
    rendered += taken.end == "rendered";
    refused += taken.end.find("more than") != std::string::npos;
  }
  // The templates do something, and the budget is met.
  EXPECT_GT(rendered, templates / 10);
  EXPECT_GT(refused, templates / 10);
}

}  // namespace
}  // namespace potluck
