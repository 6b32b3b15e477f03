#include "coordinator/cli/nearest_name.h"

#include <algorithm>
#include <numeric>

namespace potluck {
namespace {

constexpr size_t kLongest = 64;  // no name of ours is nearly as long

char folded(char c) {
  if (c == '_') return '-';
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Characters put in, left out, replaced, or swapped with their neighbor (the optimal string
// alignment distance), row by row.
size_t edits_between(std::string_view from, std::string_view to) {
  auto same = [&](size_t i, size_t j) { return folded(from[i - 1]) == folded(to[j - 1]); };
  std::vector<size_t> before, above(to.size() + 1), row(to.size() + 1);
  std::iota(above.begin(), above.end(), size_t{0});
  for (size_t i = 1; i <= from.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= to.size(); ++j) {
      row[j] = std::min({above[j - 1] + (same(i, j) ? 0 : 1), row[j - 1] + 1, above[j] + 1});
      const bool swapped = i > 1 && j > 1 && same(i, j - 1) && same(i - 1, j);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = above;
    above = row;
  }
  return above[to.size()];
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& known) {
  if (name.size() > kLongest) return {};
  std::string nearest;
  // One edit in three characters: with more, nearly any short name would be near another one.
  size_t least = std::max<size_t>(1, name.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const size_t edits = edits_between(name, candidate);
    if (edits >= least || edits >= candidate.size()) continue;
    least = edits;
    nearest = candidate;
  }
  return nearest;
}

std::string suggestion(std::string_view name, const std::vector<std::string>& known) {
  const std::string nearest = nearest_name(name, known);
  return nearest.empty() ? "" : ", did you mean '" + nearest + "'?";
}

}  // namespace potluck
