// The operators of the template language on values, as Python defines them. Errors say what the
// operands were. Pure but for the heap; one thread per heap.
#pragma once

#include <optional>
#include <span>

#include "engine/template/ast.h"

namespace potluck {

// Empty texts, lists and mappings, zero, none and undefined are false.
bool is_true(const Value& value);

// Spends from the budget; values that nest too deeply are unequal.
bool are_equal(const Value& left, const Value& right, Budget* budget);
// Whether left sorts before right: numbers, texts, and lists of such.
Result<bool> is_less(const Value& left, const Value& right, Budget* budget);
Result<bool> compare(Comparison comparison, const Value& left, const Value& right, Budget* budget);

Result<Value> apply_binary(BinaryOperation operation, const Value& left, const Value& right,
                           Heap* heap);
Result<Value> negate(const Value& operand);

// value[index]: undefined where there is no such element.
Result<Value> subscript(const Value& value, const Value& index, Heap* heap);
// value[start:stop:step]
Result<Value> slice(const Value& value, const Value& start, const Value& stop, const Value& step,
                    Heap* heap);

// The elements of a list, the keys of a mapping, the characters of a text; nothing of undefined.
Result<Values> elements_of(const Value& value, Heap* heap);
// Characters, elements or entries; nothing for what has no length.
std::optional<size_t> length_of(const Value& value, Budget* budget);

// Offset of `needle` in `text` from `from` on, in time linear to both.
std::optional<size_t> find_text(std::string_view text, std::string_view needle, size_t from);

}  // namespace potluck
