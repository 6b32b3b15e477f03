#include "engine/template/value_tests.h"

#include "engine/base/utf8.h"
#include "engine/template/characters.h"
#include "engine/template/operators.h"

namespace potluck {
namespace {

using namespace calls;

Result<bool> remainder_is(In value, In divisor, int64_t expected) {
  const auto number = value.whole_number();
  const auto by = divisor.whole_number();
  if (!number || !by || *by == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("a divisibility test works on whole numbers, found {} and {}",
                             value.kind_name(), divisor.kind_name())};
  }
  // INT64_MIN % -1 traps.
  return *by == -1 ? expected == 0 : *number % *by == expected;
}

bool is_sequence(In value) {
  return value.text() != nullptr || value.list() != nullptr || value.is_undefined() ||
         (value.map() != nullptr && !value.map()->is_namespace);
}

// Whether `change` changes nothing, in a text that has letters.
Result<bool> is_case(Context context, In value, uint32_t (*change)(uint32_t)) {
  if (value.text() == nullptr) return false;
  std::string_view rest = value.text()->bytes();
  context.budget().spend_text(rest.size());
  bool has_letters = false;
  for (; !rest.empty(); rest.remove_prefix(utf8_length(rest[0]))) {
    const uint32_t character = decode_utf8(rest);
    if (change(character) != character) return false;
    has_letters = has_letters || to_upper(character) != to_lower(character);
  }
  return has_letters;
}

template <Comparison comparison>
Result<bool> compares(Context context, In value, In argument) {
  return compare(comparison, value, argument, &context.budget());
}

constexpr TestRow kTests[] = {
    {"defined", false, [](Context, In v, In) { return Result<bool>(!v.is_undefined()); }},
    {"undefined", false, [](Context, In v, In) { return Result<bool>(v.is_undefined()); }},
    {"none", false, [](Context, In v, In) { return Result<bool>(v.is_none()); }},
    {"string", false, [](Context, In v, In) { return Result<bool>(v.text() != nullptr); }},
    {"mapping", false,
     [](Context, In v, In) { return Result<bool>(v.map() != nullptr && !v.map()->is_namespace); }},
    {"iterable", false, [](Context, In v, In) { return Result<bool>(is_sequence(v)); }},
    {"sequence", false, [](Context, In v, In) { return Result<bool>(is_sequence(v)); }},
    {"boolean", false, [](Context, In v, In) { return Result<bool>(v.boolean() != nullptr); }},
    {"true", false,
     [](Context, In v, In) { return Result<bool>(v.boolean() != nullptr && *v.boolean()); }},
    {"false", false,
     [](Context, In v, In) { return Result<bool>(v.boolean() != nullptr && !*v.boolean()); }},
    {"integer", false, [](Context, In v, In) { return Result<bool>(v.integer() != nullptr); }},
    {"float", false, [](Context, In v, In) { return Result<bool>(v.floating() != nullptr); }},
    {"number", false, [](Context, In v, In) { return Result<bool>(v.number().has_value()); }},
    {"callable", false,
     [](Context, In v, In) {
       return Result<bool>(v.macro() != nullptr || v.function() != nullptr);
     }},
    {"odd", false, [](Context, In v, In) { return remainder_is(v, Value::of(int64_t{2}), 1); }},
    {"even", false, [](Context, In v, In) { return remainder_is(v, Value::of(int64_t{2}), 0); }},
    {"lower", false, [](Context c, In v, In) { return is_case(c, v, to_lower); }},
    {"upper", false, [](Context c, In v, In) { return is_case(c, v, to_upper); }},
    {"divisibleby", true, [](Context, In v, In by) { return remainder_is(v, by, 0); }},
    {"sameas", true, [](Context, In v, In other) { return Result<bool>(v.same_as(other)); }},
    {"equalto", true, compares<Comparison::kEqual>},
    {"eq", true, compares<Comparison::kEqual>},
    {"ne", true, compares<Comparison::kUnequal>},
    {"lt", true, compares<Comparison::kLess>},
    {"le", true, compares<Comparison::kLessEqual>},
    {"gt", true, compares<Comparison::kGreater>},
    {"ge", true, compares<Comparison::kGreaterEqual>},
    {"lessthan", true, compares<Comparison::kLess>},
    {"greaterthan", true, compares<Comparison::kGreater>},
    {"in", true, compares<Comparison::kIn>},
};

}  // namespace

const TestRow* find_value_test(std::string_view name) {
  for (const TestRow& row : kTests) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

Result<bool> run_value_test(const TestRow& test, const CallContext& context, const Value& value,
                            const Arguments& arguments) {
  const size_t expected = test.takes_argument ? 1 : 0;
  if (arguments.positional.size() != expected || !arguments.named.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("the test '{}' takes {} argument(s)", test.name, expected)};
  }
  return test.run(context, value, expected == 1 ? arguments.positional[0] : Value());
}

}  // namespace potluck
