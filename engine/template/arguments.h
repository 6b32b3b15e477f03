// Arguments of a filter, test, method or function, and how they find their parameters. Plain
// values.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/template/value.h"

namespace potluck {

struct Arguments {
  struct Named {
    std::string_view name;  // lives in the syntax tree
    Value value;
  };

  explicit Arguments(Budget* budget) : positional(budget), named(budget) {}

  // The argument with this name, or null.
  const Value* find(std::string_view name) const;

  Values positional;
  BudgetVector<Named> named;
};

// One positional value per parameter, undefined where none is given. `parameters` are names with
// spaces between them. The error names `callee` and the argument it has no place for.
Result<Arguments> bind_arguments(std::string_view callee, std::string_view parameters,
                                 const Arguments& arguments);

// What filters, tests and methods get beside their arguments.
struct CallContext {
  Heap& heap;
  int64_t local_seconds;  // wall clock time in the zone of the user, as seconds since 1970

  Budget& budget() const { return heap.budget(); }
};

// Short names for the many functions of the tables of filters, tests and methods.
namespace calls {

using Context = const CallContext&;
using In = const Value&;
using Given = const Arguments&;

// The i-th parameter as bind_arguments() has put it.
inline const Value& nth(Given given, size_t i) {
  return given.positional[i];
}

}  // namespace calls

// For parameters that expect a certain type; the error names the parameter and what was found.
Result<int64_t> whole_number_of(const Value& value, std::string_view parameter, int64_t otherwise);
Result<TextPtr> text_of(const Value& value, std::string_view parameter);

}  // namespace potluck
