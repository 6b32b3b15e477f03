// The filters of the template language ("x | trim"), one row of a table each. Pure but for the
// heap; one thread per heap.
#pragma once

#include <string_view>

#include "engine/template/arguments.h"

namespace potluck {

struct FilterRow {
  std::string_view name;
  // Names of the parameters; "*": the filter reads the arguments itself.
  std::string_view parameters;
  Result<Value> (*run)(const CallContext& context, const Value& subject, const Arguments& given);
};

// Null for filters that do not exist here.
const FilterRow* find_filter(std::string_view name);

// Binds the arguments to the parameters, then runs the filter.
Result<Value> run_filter(const FilterRow& filter, const CallContext& context, const Value& subject,
                         const Arguments& arguments);

}  // namespace potluck
