// The tests of the template language ("x is string"), one row of a table each. Pure; any thread.
#pragma once

#include <string_view>

#include "engine/template/arguments.h"

namespace potluck {

struct TestRow {
  std::string_view name;
  bool takes_argument;
  // `argument` is undefined for tests that take none.
  Result<bool> (*run)(const CallContext& context, const Value& value, const Value& argument);
};

// Null for tests that do not exist here.
const TestRow* find_value_test(std::string_view name);

// Checks how many arguments there are, then runs the test.
Result<bool> run_value_test(const TestRow& test, const CallContext& context, const Value& value,
                            const Arguments& arguments);

}  // namespace potluck
