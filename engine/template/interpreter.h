// Interpreter of the template language: walks the syntax tree with a set of variables and writes
// text. It sees nothing but the values it is given; steps, memory, nesting and the size of texts
// are bounded. One object per rendering, one thread.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "engine/template/arguments.h"
#include "engine/template/ast.h"

namespace potluck {

// Variables of one scope; a name that is not here is looked up in the scope around it.
class Scope {
 public:
  Scope(Scope* outer, Budget* budget) : variables_(budget), outer_(outer) {}

  Scope* outer() const { return outer_; }
  const Value* find(std::string_view name) const;  // in the scopes around it, too
  void set(std::string_view name, Value value);
  // A macro refers to it: it must stay until the end.
  bool is_kept = false;

 private:
  struct Variable {
    std::string_view name;  // lives in the syntax tree
    Value value;
  };

  BudgetVector<Variable> variables_;
  Scope* outer_;
};

struct Macro {
  const Statement* definition;
  Scope* scope;  // where it was defined
};

class Interpreter {
 public:
  // The heap holds the values of the variables; everything must outlive the interpreter.
  Interpreter(Heap* heap, int64_t local_seconds);

  void set_variable(std::string_view name, Value value);  // the name must live as long
  // The text may outlive the heap.
  Result<MarkedText> run(const Block& block);

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // --- statements.cpp ---
  Result<Flow> execute(const Block& block, MarkedText* out);
  Result<Flow> execute(const Statement& statement, MarkedText* out);
  Result<Flow> print(const Statement& statement, MarkedText* out);
  Result<Flow> execute_if(const Statement& statement, MarkedText* out);
  Result<Flow> execute_for(const Statement& statement, MarkedText* out);
  Result<Flow> execute_loop(const Statement& statement, Loop* loop, MarkedText* out);
  Result<Values> loop_items(const Statement& statement);
  Status assign(const Statement& statement, const Value& value);
  Status unpack(const Statement& statement, const Value& value);
  Result<Value> block_value(const Statement& statement);
  Result<Flow> execute_in_scope(const Block& block, MarkedText* out);
  // Makes a scope the current one, and goes back to `before`.
  void open_scope(Scope* outer);
  void close_scope(Scope* before);
  void define_macro(const Statement& statement);
  Status write(const MarkedText& text, SourcePosition at, MarkedText* out);
  // The error of what was done last, with the place where the budget ran out.
  Status check_budget() const;

  // --- expressions.cpp ---
  Result<Value> evaluate(const Expression& expression);
  Result<Value> evaluate_kind(const Expression& expression);
  Result<Value> evaluate_name(const Expression& expression);
  Result<Value> evaluate_list(const Expression& expression);
  Result<Value> evaluate_dict(const Expression& expression);
  Result<Value> evaluate_attribute(const Expression& expression);
  Result<Value> evaluate_subscript(const Expression& expression);
  Result<Value> evaluate_slice(const Expression& expression);
  Result<Value> evaluate_call(const Expression& expression);
  Result<Value> evaluate_filter(const Expression& expression);
  Result<Value> evaluate_test(const Expression& expression);
  Result<Value> evaluate_binary(const Expression& expression);
  Result<Value> evaluate_logic(const Expression& expression);
  Result<Value> evaluate_compare(const Expression& expression);
  Result<Value> evaluate_conditional(const Expression& expression);
  Result<Arguments> evaluate_arguments(const Expression& call);
  Result<Value> call_macro(const Macro& macro, const Arguments& arguments, SourcePosition at);
  Status bind_parameters(const Macro& macro, const Arguments& arguments, SourcePosition at);
  Result<Value> attribute_of(const Value& subject, const Expression& expression);
  Result<Value> loop_attribute(const Loop& loop, std::string_view name, SourcePosition at);

  // Counts a step and checks all bounds; every evaluation and execution passes here.
  Status enter(SourcePosition at);

  Heap& heap_;
  CallContext context_;
  std::deque<Scope> scopes_;  // a stack, but for those that are kept
  std::deque<Macro> macros_;
  Scope* scope_;
  uint32_t nesting_ = 0;
  SourcePosition at_{};  // of what was entered last
};

// The errors of operators and functions know no position: this adds it.
inline Error located(SourcePosition at, const Error& error) {
  return error_at(at, error.code, error.message);
}

}  // namespace potluck
