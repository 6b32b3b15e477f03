// The interpreter's part for statements.
#include <algorithm>

#include "engine/base/printable.h"
#include "engine/template/interpreter.h"
#include "engine/template/operators.h"
#include "engine/template/serialize.h"

namespace potluck {
namespace {

// Variables that are compared with a name in one step. A search is linear, which is fastest for the
// few that templates have; a template that sets thousands pays.
constexpr uint64_t kComparedPerStep = 16;

}  // namespace

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->outer_) {
    scope->variables_.budget()->spend(scope->variables_.size() / kComparedPerStep);
    for (const Variable& variable : scope->variables_) {
      if (variable.name == name) return &variable.value;
    }
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  variables_.budget()->spend(variables_.size() / kComparedPerStep);
  for (Variable& variable : variables_) {
    if (variable.name != name) continue;
    variable.value = std::move(value);
    return;
  }
  variables_.push_back({name, std::move(value)});
}

Interpreter::Interpreter(Heap* heap, int64_t local_seconds)
    : heap_(*heap), context_{*heap, local_seconds}, scope_(nullptr) {
  open_scope(nullptr);
  scope_->set("namespace", Value::of(Function::kNamespace));
  scope_->set("dict", Value::of(Function::kDict));
  scope_->set("range", Value::of(Function::kRange));
  scope_->set("raise_exception", Value::of(Function::kRaiseException));
  scope_->set("strftime_now", Value::of(Function::kStrftimeNow));
}

void Interpreter::set_variable(std::string_view name, Value value) {
  scope_->set(name, std::move(value));
}

Result<MarkedText> Interpreter::run(const Block& block) {
  MarkedText out = heap_.blank();
  auto done = execute(block, &out);
  // Asked first: what was refused may have led to other errors, which would only confuse.
  if (Status status = check_budget(); !status) return status.error();
  if (!done) return done.error();
  // The budget ends with the heap; the prompt lives on.
  out.leave_budget();
  return out;
}

Status Interpreter::check_budget() const {
  Status status = heap_.budget().check();
  return status ? status : Status(located(at_, status.error()));
}

void Interpreter::open_scope(Scope* outer) {
  // If the budget refuses memory, the rendering ends before many scopes are open, since nesting is
  // bounded.
  scope_ = &scopes_.emplace_back(outer, &heap_.budget());
}

void Interpreter::close_scope(Scope* before) {
  // A scope that a macro refers to stays. The deque never moves its elements, so pointers to scopes
  // stay valid.
  if (!scope_->is_kept && scope_ == &scopes_.back()) {
    scopes_.pop_back();
  }
  scope_ = before;
}

void Interpreter::define_macro(const Statement& statement) {
  // Charged, since all of it stays until the rendering ends: a loop that defines a macro would keep
  // a scope per round.
  uint64_t bytes = sizeof(Macro);
  for (const Scope* scope = scope_; scope != nullptr && !scope->is_kept; scope = scope->outer()) {
    bytes += sizeof(Scope);
  }
  if (!heap_.budget().take(bytes)) return;
  for (Scope* scope = scope_; scope != nullptr; scope = scope->outer()) scope->is_kept = true;
  macros_.push_back({&statement, scope_});
  scope_->set(statement.targets[0], Value::of(&macros_.back()));
}

Status Interpreter::write(const MarkedText& text, SourcePosition at, MarkedText* out) {
  at_ = at;
  out->append(text);
  return heap_.budget().exceeded() ? check_budget() : Status();
}

Result<Interpreter::Flow> Interpreter::execute(const Block& block, MarkedText* out) {
  for (const auto& statement : block) {
    if (Status status = enter(statement->at); !status) return status.error();
    ++nesting_;
    auto flow = execute(*statement, out);
    --nesting_;
    if (!flow || *flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::execute(const Statement& statement, MarkedText* out) {
  switch (statement.kind) {
    case StatementKind::kText: {
      Status status = write(*statement.text, statement.at, out);
      return status ? Result<Flow>(Flow::kNext) : status.error();
    }
    case StatementKind::kPrint:
    case StatementKind::kFilterBlock:
      return print(statement, out);
    case StatementKind::kIf:
      return execute_if(statement, out);
    case StatementKind::kFor:
      return execute_for(statement, out);
    case StatementKind::kSet:
    case StatementKind::kSetBlock: {
      auto value = block_value(statement);
      if (!value) return value.error();
      Status status = assign(statement, *value);
      return status ? Result<Flow>(Flow::kNext) : status.error();
    }
    case StatementKind::kMacro:
      define_macro(statement);
      return Flow::kNext;
    case StatementKind::kScope:
      return execute_in_scope(statement.body, out);
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      break;
  }
  return Flow::kContinue;
}

// The value of a statement's expression. If the statement has a body, the expression is the chain
// of filters for what the body writes.
Result<Value> Interpreter::block_value(const Statement& statement) {
  const bool has_body =
      statement.kind != StatementKind::kSet && statement.kind != StatementKind::kPrint;
  if (!has_body) return evaluate(*statement.expression);
  Scope* outer = scope_;
  open_scope(outer);
  MarkedText written = heap_.blank();
  auto flow = execute(statement.body, &written);
  Result<Value> value = Value();
  if (flow) {
    scope_->set(kBlockText, heap_.text(std::move(written)));
    value = evaluate(*statement.expression);
  }
  close_scope(outer);
  return flow ? std::move(value) : Result<Value>(flow.error());
}

Result<Interpreter::Flow> Interpreter::print(const Statement& statement, MarkedText* out) {
  auto value = block_value(statement);
  if (!value) return value.error();
  auto text = to_text(*value, &heap_);
  if (!text) return located(statement.at, text.error());
  if (Status status = write(**text, statement.at, out); !status) return status.error();
  return Flow::kNext;
}

// No scope of its own: what a branch sets stays set, as in Jinja2.
Result<Interpreter::Flow> Interpreter::execute_if(const Statement& statement, MarkedText* out) {
  for (const Branch& branch : statement.branches) {
    auto condition = evaluate(*branch.condition);
    if (!condition) return condition.error();
    if (is_true(*condition)) return execute(branch.body, out);
  }
  return execute(statement.otherwise, out);
}

Result<Interpreter::Flow> Interpreter::execute_in_scope(const Block& block, MarkedText* out) {
  Scope* outer = scope_;
  open_scope(outer);
  auto flow = execute(block, out);
  close_scope(outer);
  return flow;
}

// The elements that the loop goes through: those for which its condition holds.
Result<Values> Interpreter::loop_items(const Statement& statement) {
  auto iterable = evaluate(*statement.expression);
  if (!iterable) return iterable.error();
  auto items = elements_of(*iterable, &heap_);
  if (!items) return located(statement.expression->at, items.error());
  // Filtered before the loop begins: loop.length and loop.last count only what passes.
  if (statement.condition == nullptr) return items;
  Values chosen = heap_.values();
  Scope* outer = scope_;
  for (Value& item : *items) {
    open_scope(outer);
    Status status = unpack(statement, item);
    auto holds = status ? evaluate(*statement.condition) : Result<Value>(status.error());
    close_scope(outer);
    if (!holds) return holds.error();
    if (is_true(*holds)) chosen.push_back(std::move(item));
  }
  return chosen;
}

Result<Interpreter::Flow> Interpreter::execute_for(const Statement& statement, MarkedText* out) {
  auto items = loop_items(statement);
  if (!items) return items.error();
  if (items->empty()) return execute_in_scope(statement.otherwise, out);
  Loop* loop = heap_.loop(std::move(*items));
  auto flow = execute_loop(statement, loop, out);
  // `loop` may have been stored somewhere; its memory is given back all the same.
  loop->items.clear();
  return flow;
}

Result<Interpreter::Flow> Interpreter::execute_loop(const Statement& statement, Loop* loop,
                                                    MarkedText* out) {
  Scope* outer = scope_;
  // A scope per round: what the body sets is gone in the next one. Templates use namespaces for
  // what has to last.
  for (loop->index = 0; loop->index < loop->items.size(); ++loop->index) {
    open_scope(outer);
    scope_->set("loop", Value::of(loop));
    Status status = unpack(statement, loop->items[loop->index]);
    auto flow = status ? execute(statement.body, out) : Result<Flow>(status.error());
    close_scope(outer);
    if (!flow) return flow;
    if (*flow == Flow::kBreak) break;
  }
  return Flow::kNext;
}

// One target takes the value, several its elements.
Status Interpreter::unpack(const Statement& statement, const Value& value) {
  if (statement.targets.size() == 1) {
    scope_->set(statement.targets[0], value);
    return {};
  }
  auto parts = elements_of(value, &heap_);
  if (!parts) return located(statement.at, parts.error());
  if (parts->size() != statement.targets.size()) {
    return error_at(statement.at, ErrorCode::kInvalidArgument,
                    fmt::format("expected {} values to unpack, found {}", statement.targets.size(),
                                parts->size()));
  }
  for (size_t i = 0; i < parts->size(); ++i) {
    scope_->set(statement.targets[i], std::move((*parts)[i]));
  }
  return {};
}

Status Interpreter::assign(const Statement& statement, const Value& value) {
  if (statement.attribute.empty()) return unpack(statement, value);
  const Value* found = scope_->find(statement.targets[0]);
  Map* map = found == nullptr ? nullptr : found->map();
  if (map == nullptr || !map->is_namespace) {
    return error_at(statement.at, ErrorCode::kInvalidArgument,
                    fmt::format("{} is no namespace: only these take attributes",
                                printable(statement.targets[0])));
  }
  heap_.set(map, statement.attribute, value);
  return {};
}

}  // namespace potluck
