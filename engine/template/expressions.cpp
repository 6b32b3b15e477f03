// The interpreter's part for expressions.
#include "engine/base/printable.h"
#include "engine/template/filters.h"
#include "engine/template/interpreter.h"
#include "engine/template/methods.h"
#include "engine/template/operators.h"
#include "engine/template/value_tests.h"

namespace potluck {
namespace {

// How messages call what stands in the template: "message.content", "the value".
std::string describe(const Expression& expression) {
  if (expression.kind == ExpressionKind::kName) return printable(expression.name);
  if (expression.kind != ExpressionKind::kAttribute) return "the value";
  return describe(*expression.operands[0]) + "." + printable(expression.name);
}

Error invalid(const Expression& expression, const std::string& what) {
  return error_at(expression.at, ErrorCode::kInvalidArgument, what);
}

Result<Value> with_position(SourcePosition at, Result<Value> result) {
  return result ? std::move(result) : Result<Value>(located(at, result.error()));
}

}  // namespace

Status Interpreter::enter(SourcePosition at) {
  heap_.budget().spend(1);
  at_ = at;
  if (heap_.budget().exceeded()) return check_budget();
  // Counted over macros and expressions together, because they share one stack: a macro that calls
  // itself would end the process.
  if (nesting_ < limits::kTemplateNesting) return {};
  return error_at(
      at, ErrorCode::kLimit,
      fmt::format("macros and expressions nest deeper than {}", limits::kTemplateNesting));
}

Result<Value> Interpreter::evaluate(const Expression& expression) {
  if (Status status = enter(expression.at); !status) return status.error();
  ++nesting_;
  auto value = evaluate_kind(expression);
  --nesting_;
  return value;
}

Result<Value> Interpreter::evaluate_kind(const Expression& expression) {
  switch (expression.kind) {
    case ExpressionKind::kLiteral:
      return expression.value;
    case ExpressionKind::kName:
      return evaluate_name(expression);
    case ExpressionKind::kList:
    case ExpressionKind::kTuple:
      return evaluate_list(expression);
    case ExpressionKind::kDict:
      return evaluate_dict(expression);
    case ExpressionKind::kAttribute:
      return evaluate_attribute(expression);
    case ExpressionKind::kSubscript:
      return evaluate_subscript(expression);
    case ExpressionKind::kSlice:
      return evaluate_slice(expression);
    case ExpressionKind::kCall:
      return evaluate_call(expression);
    case ExpressionKind::kFilter:
      return evaluate_filter(expression);
    case ExpressionKind::kTest:
      return evaluate_test(expression);
    case ExpressionKind::kBinary:
      return evaluate_binary(expression);
    case ExpressionKind::kCompare:
      return evaluate_compare(expression);
    case ExpressionKind::kConditional:
      return evaluate_conditional(expression);
    default:
      return evaluate_logic(expression);
  }
}

Result<Value> Interpreter::evaluate_name(const Expression& expression) {
  // A name that is not set is undefined and no error, as in Jinja2: templates ask "tools is
  // defined" or just "if tools".
  const Value* value = scope_->find(expression.name);
  return value == nullptr ? Value() : *value;
}

Result<Value> Interpreter::evaluate_list(const Expression& expression) {
  Values items = heap_.values();
  for (const ExpressionPtr& operand : expression.operands) {
    auto item = evaluate(*operand);
    if (!item) return item.error();
    items.push_back(std::move(*item));
  }
  return expression.kind == ExpressionKind::kTuple ? heap_.tuple(std::move(items))
                                                   : heap_.list(std::move(items));
}

Result<Value> Interpreter::evaluate_dict(const Expression& expression) {
  Map* map = heap_.map();
  for (size_t i = 0; i < expression.operands.size(); i += 2) {
    auto key = evaluate(*expression.operands[i]);
    if (!key) return key.error();
    if (!Map::name_of(*key)) {
      return error_at(
          expression.operands[i]->at, ErrorCode::kUnsupported,
          fmt::format("keys of mappings are texts or whole numbers, found {}", key->kind_name()));
    }
    auto value = evaluate(*expression.operands[i + 1]);
    if (!value) return value.error();
    heap_.set(map, *key, std::move(*value));
  }
  return Value::of(map);
}

Result<Value> Interpreter::evaluate_attribute(const Expression& expression) {
  auto subject = evaluate(*expression.operands[0]);
  return subject ? attribute_of(*subject, expression) : std::move(subject);
}

Result<Value> Interpreter::attribute_of(const Value& subject, const Expression& expression) {
  if (subject.is_undefined()) {
    return invalid(expression,
                   fmt::format("{} is undefined, so it has no '{}'",
                               describe(*expression.operands[0]), printable(expression.name)));
  }
  if (const Loop* loop = subject.loop()) {
    return loop_attribute(*loop, expression.name, expression.at);
  }
  // Attributes and keys are one: message.content and message["content"] mean the same.
  const Map* map = subject.map();
  const Value* found = map == nullptr ? nullptr : map->find(expression.name);
  return found == nullptr ? Value() : *found;
}

Result<Value> Interpreter::loop_attribute(const Loop& loop, std::string_view name,
                                          SourcePosition at) {
  const size_t length = loop.items.size();
  if (name == "index0") return Value::of(loop.index);
  if (name == "index") return Value::of(loop.index + 1);
  if (name == "first") return Value::of(loop.index == 0);
  if (name == "last") return Value::of(loop.index + 1 >= length);
  if (name == "length") return Value::of(length);
  if (name == "revindex") return Value::of(length - std::min(length, loop.index));
  if (name == "revindex0") return Value::of(length - std::min(length, loop.index + 1));
  if (name == "depth") return Value::of(int64_t{1});  // it counts recursion, which is not supported
  if (name == "depth0") return Value::of(int64_t{0});
  if (name == "nextitem") return loop.index + 1 < length ? loop.items[loop.index + 1] : Value();
  if (name == "previtem") {
    return loop.index > 0 && loop.index <= length ? loop.items[loop.index - 1] : Value();
  }
  return error_at(at, ErrorCode::kUnsupported,
                  fmt::format("'loop.{}' is not supported", printable(name)));
}

Result<Value> Interpreter::evaluate_subscript(const Expression& expression) {
  auto subject = evaluate(*expression.operands[0]);
  if (!subject) return subject.error();
  if (subject->is_undefined()) {
    return invalid(expression, describe(*expression.operands[0]) + " is undefined");
  }
  auto index = evaluate(*expression.operands[1]);
  if (!index) return index.error();
  return with_position(expression.at, subscript(*subject, *index, &heap_));
}

Result<Value> Interpreter::evaluate_slice(const Expression& expression) {
  Value parts[4];
  for (size_t i = 0; i < 4; ++i) {
    if (expression.operands[i] == nullptr) continue;
    auto part = evaluate(*expression.operands[i]);
    if (!part) return part.error();
    parts[i] = std::move(*part);
  }
  return with_position(expression.at, slice(parts[0], parts[1], parts[2], parts[3], &heap_));
}

Result<Arguments> Interpreter::evaluate_arguments(const Expression& call) {
  Arguments arguments(&heap_.budget());
  for (size_t i = 1; i < call.operands.size(); ++i) {
    auto value = evaluate(*call.operands[i]);
    if (!value) return value.error();
    arguments.positional.push_back(std::move(*value));
  }
  for (const Keyword& keyword : call.keywords) {
    auto value = evaluate(*keyword.value);
    if (!value) return value.error();
    arguments.named.push_back({keyword.name, std::move(*value)});
  }
  if (Status status = check_budget(); !status) return status.error();
  return arguments;
}

Result<Value> Interpreter::evaluate_call(const Expression& expression) {
  const Expression& callee = *expression.operands[0];
  Value subject;
  const MethodRow* method = nullptr;
  // Methods exist only where they are called, and win over a key of the same name, as attributes do
  // in Jinja2.
  if (callee.kind == ExpressionKind::kAttribute) {
    auto value = evaluate(*callee.operands[0]);
    if (!value) return value.error();
    subject = std::move(*value);
    method = find_method(subject, callee.name);
  }
  if (method != nullptr) {
    auto arguments = evaluate_arguments(expression);
    if (!arguments) return arguments.error();
    return with_position(expression.at, run_method(*method, context_, subject, *arguments));
  }
  // What stands before the attribute has been evaluated and may have effects: not once more.
  auto function =
      callee.kind == ExpressionKind::kAttribute ? attribute_of(subject, callee) : evaluate(callee);
  if (!function) return function.error();
  auto arguments = evaluate_arguments(expression);
  if (!arguments) return arguments.error();
  if (function->macro() != nullptr) {
    return call_macro(*function->macro(), *arguments, expression.at);
  }
  if (function->function() != nullptr) {
    return with_position(expression.at, run_function(*function->function(), context_, *arguments));
  }
  if (callee.kind == ExpressionKind::kAttribute) {
    return error_at(expression.at, ErrorCode::kUnsupported,
                    fmt::format("a value of type {} has no method '{}' here", subject.kind_name(),
                                printable(callee.name)));
  }
  return error_at(
      expression.at, ErrorCode::kUnsupported,
      fmt::format("{} is no function here, but {}", describe(callee), function->kind_name()));
}

Result<Value> Interpreter::evaluate_filter(const Expression& expression) {
  auto subject = evaluate(*expression.operands[0]);
  if (!subject) return subject.error();
  auto arguments = evaluate_arguments(expression);
  if (!arguments) return arguments.error();
  return with_position(expression.at,
                       run_filter(*expression.filter, context_, *subject, *arguments));
}

Result<Value> Interpreter::evaluate_test(const Expression& expression) {
  auto subject = evaluate(*expression.operands[0]);
  if (!subject) return subject.error();
  auto arguments = evaluate_arguments(expression);
  if (!arguments) return arguments.error();
  auto passed = run_value_test(*expression.test, context_, *subject, *arguments);
  if (!passed) return located(expression.at, passed.error());
  return Value::of(*passed);
}

Result<Value> Interpreter::evaluate_binary(const Expression& expression) {
  auto left = evaluate(*expression.operands[0]);
  if (!left) return left.error();
  auto right = evaluate(*expression.operands[1]);
  if (!right) return right.error();
  for (size_t i = 0; i < 2; ++i) {
    const Value& operand = i == 0 ? *left : *right;
    if (operand.is_undefined() && expression.operation != BinaryOperation::kConcatenate) {
      return invalid(expression, describe(*expression.operands[i]) + " is undefined");
    }
  }
  return with_position(expression.at, apply_binary(expression.operation, *left, *right, &heap_));
}

Result<Value> Interpreter::evaluate_logic(const Expression& expression) {
  auto operand = evaluate(*expression.operands[0]);
  if (!operand) return operand.error();
  switch (expression.kind) {
    case ExpressionKind::kNot:
      return Value::of(!is_true(*operand));
    case ExpressionKind::kNegative:
      return with_position(expression.at, negate(*operand));
    case ExpressionKind::kPositive:
      if (operand->number()) return operand;
      return invalid(expression, fmt::format("'+' does not work on {}", operand->kind_name()));
    default:
      break;
  }
  // As in Python, the result is the operand itself: "name or 'you'" is a text.
  const bool stops = is_true(*operand) == (expression.kind == ExpressionKind::kOr);
  return stops ? std::move(operand) : evaluate(*expression.operands[1]);
}

Result<Value> Interpreter::evaluate_compare(const Expression& expression) {
  auto left = evaluate(*expression.operands[0]);
  if (!left) return left.error();
  for (size_t i = 0; i < expression.comparisons.size(); ++i) {
    auto right = evaluate(*expression.operands[i + 1]);
    if (!right) return right.error();
    auto holds = compare(expression.comparisons[i], *left, *right, &heap_.budget());
    if (!holds) return located(expression.at, holds.error());
    if (!*holds) return Value::of(false);
    left = std::move(right);
  }
  return Value::of(true);
}

Result<Value> Interpreter::evaluate_conditional(const Expression& expression) {
  auto condition = evaluate(*expression.operands[1]);
  if (!condition) return condition.error();
  if (is_true(*condition)) return evaluate(*expression.operands[0]);
  // Without `else` the value is undefined, which prints as nothing.
  return expression.operands[2] == nullptr ? Value() : evaluate(*expression.operands[2]);
}

Status Interpreter::bind_parameters(const Macro& macro, const Arguments& arguments,
                                    SourcePosition at) {
  const std::vector<Parameter>& parameters = macro.definition->parameters;
  size_t used_names = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Value* named = arguments.find(parameters[i].name);
    if (i < arguments.positional.size()) {
      // A name that is given as well stays unused, and is an error below.
      scope_->set(parameters[i].name, arguments.positional[i]);
    } else if (named != nullptr) {
      ++used_names;
      scope_->set(parameters[i].name, *named);
    } else if (parameters[i].otherwise != nullptr) {
      // In the scope of the call: a default may use the parameters before it.
      auto value = evaluate(*parameters[i].otherwise);
      if (!value) return value.error();
      scope_->set(parameters[i].name, std::move(*value));
    } else {
      scope_->set(parameters[i].name, Value());
    }
  }
  if (arguments.positional.size() <= parameters.size() && used_names == arguments.named.size()) {
    return {};
  }
  return error_at(at, ErrorCode::kInvalidArgument,
                  fmt::format("the macro '{}' takes {} argument(s), found others",
                              printable(macro.definition->targets[0]), parameters.size()));
}

Result<Value> Interpreter::call_macro(const Macro& macro, const Arguments& arguments,
                                      SourcePosition at) {
  Scope* caller = scope_;
  // Inside the scope of the definition, not of the caller: macros see no loop variables of their
  // callers.
  open_scope(macro.scope);
  MarkedText out = heap_.blank();
  Status bound = bind_parameters(macro, arguments, at);
  Result<Flow> done = bound ? execute(macro.definition->body, &out) : Result<Flow>(bound.error());
  close_scope(caller);
  if (!done) return done.error();
  return heap_.text(std::move(out));
}

}  // namespace potluck
