// How values become text: as Python's str() and repr() write them, and as JSON. Marks of texts
// inside go along; what is written around them counts as user text in containers and in JSON.
// Nesting and the budget bound it, circles included. Pure; one thread per heap.
#pragma once

#include <string>
#include <string_view>

#include "engine/template/value.h"

namespace potluck {

// str(): a text as it is (shared, not copied), undefined as nothing.
Result<TextPtr> to_text(const Value& value, Heap* heap);

// json.dumps(): separators as Python's defaults, `indent` < 0 for one line.
struct JsonStyle {
  int64_t indent = -1;
  bool ascii_only = false;
  bool sort_keys = false;
  // "" for the defaults that go with `indent`; must outlive the writing.
  std::string_view item_separator;
  std::string_view key_separator;
};
Result<MarkedText> to_json(const Value& value, const JsonStyle& style, Budget* budget);

// A float as Python's repr() writes it: the fewest digits that read back to the same value.
std::string float_text(double value);

}  // namespace potluck
