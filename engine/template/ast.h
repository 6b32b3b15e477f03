// The syntax tree of a template. Built by the parser, immutable afterwards; any thread may read it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/template/source_position.h"
#include "engine/template/value.h"

namespace potluck {

struct FilterRow;  // filters.h
struct TestRow;    // value_tests.h

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

enum class ExpressionKind {
  kLiteral,      // value
  kName,         // name
  kList,         // operands
  kTuple,        // operands
  kDict,         // operands: key, value, key, value ..
  kAttribute,    // operands[0].name
  kSubscript,    // operands[0][operands[1]]
  kSlice,        // operands[0][operands[1]:operands[2]:operands[3]], each of the three may be null
  kCall,         // operands[0](operands[1..], keywords)
  kFilter,       // operands[0] | name(operands[1..], keywords)
  kTest,         // operands[0] is name(operands[1..], keywords)
  kNot,          // not operands[0]
  kNegative,     // -operands[0]
  kPositive,     // +operands[0]
  kBinary,       // operands[0] operation operands[1], both are evaluated
  kAnd,          // operands[0] and operands[1]
  kOr,           // operands[0] or operands[1]
  kCompare,      // operands[0] comparisons[0] operands[1] comparisons[1] operands[2] ..
  kConditional,  // operands[0] if operands[1] else operands[2], which may be null
};

enum class BinaryOperation {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kConcatenate
};
enum class Comparison { kEqual, kUnequal, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

struct Keyword {
  std::string name;
  ExpressionPtr value;
};

struct Expression {
  ExpressionKind kind;
  SourcePosition at;
  uint32_t depth = 1;  // of the tree below, this node included
  std::string name;
  Value value;
  BinaryOperation operation = BinaryOperation::kAdd;
  std::vector<ExpressionPtr> operands;
  std::vector<Keyword> keywords;
  std::vector<Comparison> comparisons;
  const FilterRow* filter = nullptr;
  const TestRow* test = nullptr;
};

struct Statement;
using Block = std::vector<std::unique_ptr<const Statement>>;

enum class StatementKind {
  kText,         // text
  kPrint,        // expression
  kIf,           // branches, then otherwise
  kFor,          // for targets in expression if condition: body, else otherwise
  kSet,          // targets (or targets[0].attribute) = expression
  kSetBlock,     // targets[0] (or its attribute) = body, through the filters of expression if any
  kMacro,        // targets[0] is the name
  kFilterBlock,  // body through the filters of expression
  kScope,        // body, in a scope of its own ("generation")
  kBreak,
  kContinue,
};

// Stands in the expression of a filter block for the text of its body.
inline constexpr const char* kBlockText = "";

struct Parameter {
  std::string name;
  ExpressionPtr otherwise;  // null: undefined where it is not given
};

struct Branch {
  ExpressionPtr condition;
  Block body;
};

struct Statement {
  StatementKind kind;
  SourcePosition at;
  TextPtr text;
  ExpressionPtr expression;
  ExpressionPtr condition;
  std::vector<std::string> targets;
  std::string attribute;
  std::vector<Parameter> parameters;
  std::vector<Branch> branches;
  Block body;
  Block otherwise;
};

}  // namespace potluck
