// Methods of texts, lists and mappings ("x.strip()"), one row of a table each, and the functions
// that every template has. Pure but for the heap; one thread per heap.
#pragma once

#include <string_view>

#include "engine/template/arguments.h"

namespace potluck {

struct MethodRow {
  std::string_view name;
  std::string_view parameters;  // "*": the method reads the arguments itself
  Result<Value> (*run)(const CallContext& context, const Value& subject, const Arguments& given);
};

// Null where values of this kind have no such method here.
const MethodRow* find_method(const Value& subject, std::string_view name);

Result<Value> run_method(const MethodRow& method, const CallContext& context, const Value& subject,
                         const Arguments& arguments);

Result<Value> run_function(Function function, const CallContext& context,
                           const Arguments& arguments);

}  // namespace potluck
