#include "engine/template/arguments.h"

namespace potluck {

const Value* Arguments::find(std::string_view name) const {
  // A search through many arguments is work of the template like any other.
  if (positional.budget() != nullptr) positional.budget()->spend(named.size() / 8);
  for (const Named& argument : named) {
    if (argument.name == name) return &argument.value;
  }
  return nullptr;
}

Result<Arguments> bind_arguments(std::string_view callee, std::string_view parameters,
                                 const Arguments& arguments) {
  Arguments all(arguments.positional.budget());
  Values& bound = all.positional;
  size_t used_names = 0;
  size_t wanted = 0;
  std::string_view rest = parameters;
  while (!rest.empty()) {
    const std::string_view name = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    const size_t index = wanted++;
    if (index < arguments.positional.size()) {
      // A name that is given as well stays unused, and is an error below.
      bound.push_back(arguments.positional[index]);
      continue;
    }
    const Value* named = arguments.find(name);
    if (named != nullptr) ++used_names;
    bound.push_back(named == nullptr ? Value() : *named);
  }
  // Filters index the parameters without asking how many there are.
  if (bound.size() < wanted) return bound.budget()->check().error();
  // An argument without a place is an error: ignored, it would change the result in silence.
  if (arguments.positional.size() > bound.size() || used_names < arguments.named.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("'{}' takes the arguments ({}), found others", callee, parameters)};
  }
  return all;
}

Result<int64_t> whole_number_of(const Value& value, std::string_view parameter, int64_t otherwise) {
  if (value.is_undefined() || value.is_none()) return otherwise;
  if (const auto whole = value.whole_number()) return *whole;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{}: expected a whole number, found {}", parameter, value.kind_name())};
}

Result<TextPtr> text_of(const Value& value, std::string_view parameter) {
  if (value.text() != nullptr) return value.shared_text();
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{}: expected a text, found {}", parameter, value.kind_name())};
}

}  // namespace potluck
