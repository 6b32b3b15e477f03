#include "engine/grammar/schema_branches.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/grammar/grammar_limits.h"

namespace potluck {
namespace {

constexpr int kComparedDepth = 3;  // properties within properties

// Constants of alternatives are few where they tell them apart.
constexpr size_t kComparedValues = 256;

bool none_fits(const std::vector<const JsonValue*>& values, const SchemaFacts& facts) {
  if (values.size() > kComparedValues) return false;
  return std::ranges::all_of(
      values, [&](const JsonValue* value) { return !facts.allows(*value).value_or(true); });
}

Result<bool> are_apart(SchemaReader& reader, const SchemaSet& a, const SchemaSet& b, int depth) {
  auto left = reader.read(a);
  if (!left) return left.error();
  auto right = reader.read(b);
  if (!right) return right.error();
  if ((left->types & right->types) == 0) return true;
  if (left->values && none_fits(*left->values, *right)) return true;
  if (right->values && none_fits(*right->values, *left)) return true;
  const bool are_objects = (left->types & right->types) == kObjectType;
  if (!are_objects || depth == 0) return false;
  for (const std::string& name : left->required) {
    if (std::ranges::find(right->required, name) == right->required.end()) continue;
    const auto in_left = left->property(name);
    const auto in_right = right->property(name);
    if (!in_left || !in_right) return true;
    auto apart = are_apart(reader, *in_left, *in_right, depth - 1);
    if (!apart || *apart) return apart;
  }
  return false;
}

}  // namespace

SchemaSet with_branch(const SchemaSet& set, const SchemaFacts::Branches& group,
                      const SchemaRef& branch) {
  SchemaSet chosen = set;
  chosen.schemas.push_back(branch);
  chosen.decided.insert(group.group);
  return chosen;
}

Status check_exclusive(SchemaReader& reader, const SchemaSet& set,
                       const SchemaFacts::Branches& group) {
  constexpr size_t kMost = 64;
  if (group.branches.size() > kMost) {
    return Error{ErrorCode::kLimit, fmt::format("{}: at most {} alternatives, found {}", group.path,
                                                kMost, group.branches.size())};
  }
  for (size_t i = 0; i < group.branches.size(); ++i) {
    for (size_t j = i + 1; j < group.branches.size(); ++j) {
      auto apart = are_apart(reader, with_branch(set, group, group.branches[i]),
                             with_branch(set, group, group.branches[j]), kComparedDepth);
      if (!apart) return apart.error();
      if (*apart) continue;
      return Error{
          ErrorCode::kInvalidArgument,
          fmt::format("{}: alternatives {} and {} may both hold for a value: use anyOf, or "
                      "a required property with different constants",
                      group.path, i, j)};
    }
  }
  return {};
}

}  // namespace potluck
