// Python's rules for values: what equals what, what sorts before what, and arithmetic with exact
// 64-bit integers. Every loop spends from the budget, because the length of its operands is the
// template's to choose.
#include "engine/template/operators.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/utf8.h"
#include "engine/template/characters.h"
#include "engine/template/serialize.h"

namespace potluck {
namespace {

Error mismatch(const char* what, const Value& left, const Value& right) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("{} does not work on {} and {}", what, left.kind_name(), right.kind_name())};
}

Error overflow() {
  return {ErrorCode::kInvalidArgument, "a whole number leaves the range of 64 bits"};
}

// Values may contain themselves, so the depth is bounded; what lies deeper counts as unequal.
bool equal(const Value& left, const Value& right, uint32_t depth, Budget* budget) {
  budget->spend(1);
  if (depth > limits::kJsonDepth * 2 || budget->exceeded()) return false;
  if (const MarkedText* text = left.text()) {
    if (right.text() == nullptr) return false;
    budget->spend_text(text->size());
    return text->bytes() == right.text()->bytes();
  }
  // Integers are compared as such: above 2^53 two different ones may be the same double. True
  // equals 1.
  if (left.number() && right.number()) {
    const auto a = left.whole_number();
    const auto b = right.whole_number();
    return a && b ? *a == *b : *left.number() == *right.number();
  }
  if (left.list() != nullptr && right.list() != nullptr) {
    const auto& a = left.list()->items;
    const auto& b = right.list()->items;
    return left.list()->is_tuple == right.list()->is_tuple &&
           std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const Value& x, const Value& y) {
             return equal(x, y, depth + 1, budget);
           });
  }
  const Map* a = left.map();
  const Map* b = right.map();
  if (a != nullptr && b != nullptr && !a->is_namespace && !b->is_namespace) {
    return a->entries().size() == b->entries().size() &&
           std::all_of(a->entries().begin(), a->entries().end(), [&](const Map::Entry& entry) {
             const Value* other = b->find(entry.name->bytes());
             return other != nullptr && equal(entry.value, *other, depth + 1, budget);
           });
  }
  return left.same_as(right);
}

Result<bool> less(const Value& left, const Value& right, uint32_t depth, Budget* budget) {
  budget->spend(1);
  if (Status status = budget->check(); !status) return status.error();
  if (left.text() != nullptr && right.text() != nullptr) {
    budget->spend_text(std::min(left.text()->size(), right.text()->size()));
    return left.text()->bytes() < right.text()->bytes();
  }
  if (left.number() && right.number()) {
    const auto a = left.whole_number();
    const auto b = right.whole_number();
    return a && b ? *a < *b : *left.number() < *right.number();
  }
  if (left.list() == nullptr || right.list() == nullptr || depth > limits::kJsonDepth) {
    return mismatch("comparing", left, right);
  }
  const auto& a = left.list()->items;
  const auto& b = right.list()->items;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (!equal(a[i], b[i], depth, budget)) return less(a[i], b[i], depth + 1, budget);
  }
  return a.size() < b.size();
}

Result<bool> contains(const Value& container, const Value& element, Budget* budget) {
  if (const MarkedText* text = container.text()) {
    if (element.text() == nullptr) return mismatch("'in'", element, container);
    budget->spend_text(text->size());
    return find_text(text->bytes(), element.text()->bytes(), 0).has_value();
  }
  if (const List* list = container.list()) {
    const auto& items = list->items;
    return std::any_of(items.begin(), items.end(),
                       [&](const Value& item) { return equal(item, element, 0, budget); });
  }
  if (const Map* map = container.map(); map != nullptr && !map->is_namespace) {
    return map->find(element) != nullptr;
  }
  if (container.is_undefined()) return false;
  return mismatch("'in'", element, container);
}

Result<Value> repeat(const Value& value, int64_t times, Heap* heap) {
  const auto count = static_cast<uint64_t>(std::max<int64_t>(times, 0));
  uint64_t size = 0;
  if (const MarkedText* text = value.text()) {
    if (text->empty()) return value;
    // Before anything is written: "a" * 10**12 must cost nothing.
    if (!checked_multiply(text->size(), count, &size)) size = UINT64_MAX;
    if (!heap->budget().allows_text(size)) return heap->budget().check().error();
    MarkedText out = heap->blank();
    out.reserve(size);
    for (uint64_t i = 0; i < count; ++i) {
      out.append(*text);
      if (heap->budget().exceeded()) return heap->budget().check().error();
    }
    return heap->text(std::move(out));
  }
  const auto& items = value.list()->items;
  if (!checked_multiply(items.size(), count, &size) || size > limits::kTemplateRange) {
    return Error{ErrorCode::kLimit,
                 fmt::format("a list becomes longer than {} elements", limits::kTemplateRange)};
  }
  Values out = heap->values();
  if (!out.reserve(size)) return heap->budget().check().error();
  for (uint64_t i = 0; i < count && !items.empty(); ++i) out.append(items.data(), items.size());
  return heap->list(std::move(out));
}

Result<Value> concatenate(const Value& left, const Value& right, Heap* heap) {
  auto head = to_text(left, heap);
  if (!head) return head.error();
  auto tail = to_text(right, heap);
  if (!tail) return tail.error();
  MarkedText out = heap->blank();
  out.reserve((*head)->size() + (*tail)->size());
  out.append(**head);
  out.append(**tail);
  return heap->text(std::move(out));
}

Result<Value> add(const Value& left, const Value& right, Heap* heap) {
  if (left.text() != nullptr && right.text() != nullptr) return concatenate(left, right, heap);
  const List* a = left.list();
  const List* b = right.list();
  // A new list, as in Python: the operands may be used elsewhere.
  if (a != nullptr && b != nullptr && a->is_tuple == b->is_tuple) {
    Values items = heap->values();
    if (!items.reserve(a->items.size() + b->items.size())) return heap->budget().check().error();
    items.append(a->items.data(), a->items.size());
    items.append(b->items.data(), b->items.size());
    return a->is_tuple ? heap->tuple(std::move(items)) : heap->list(std::move(items));
  }
  return mismatch("'+'", left, right);
}

// Python rounds quotients down, so that a remainder has the sign of the divisor; C++ rounds toward
// zero.
Result<Value> divide_whole(BinaryOperation operation, int64_t a, int64_t b) {
  if (b == 0) return Error{ErrorCode::kInvalidArgument, "division by zero"};
  // The one divisor with a quotient that may not fit: the processor traps on INT64_MIN / -1, and on
  // the remainder too.
  if (b == -1) {
    if (operation == BinaryOperation::kModulo) return Value::of(int64_t{0});
    return negate(Value::of(a));
  }
  const int64_t rest = a % b;
  const bool corrects = rest != 0 && (rest < 0) != (b < 0);
  if (operation == BinaryOperation::kModulo) return Value::of(corrects ? rest + b : rest);
  return Value::of(a / b - (corrects ? 1 : 0));
}

Result<Value> power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  // The bases that never overflow: their loop would run as long as the exponent says.
  if (base == 0 || base == 1) return Value::of(exponent == 0 ? result : base);
  if (base == -1) return Value::of(exponent % 2 == 0 ? result : base);
  for (; exponent > 0; --exponent) {  // ends by overflow within 64 rounds
    if (__builtin_mul_overflow(result, base, &result)) return overflow();
  }
  return Value::of(result);
}

Result<Value> calculate_whole(BinaryOperation operation, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (operation) {
    case BinaryOperation::kAdd:
      return __builtin_add_overflow(a, b, &result) ? Result<Value>(overflow()) : Value::of(result);
    case BinaryOperation::kSubtract:
      return __builtin_sub_overflow(a, b, &result) ? Result<Value>(overflow()) : Value::of(result);
    case BinaryOperation::kMultiply:
      return __builtin_mul_overflow(a, b, &result) ? Result<Value>(overflow()) : Value::of(result);
    case BinaryOperation::kPower:
      return power(a, b);
    default:
      return divide_whole(operation, a, b);
  }
}

Result<Value> calculate_real(BinaryOperation operation, double a, double b) {
  switch (operation) {
    case BinaryOperation::kAdd:
      return Value::of(a + b);
    case BinaryOperation::kSubtract:
      return Value::of(a - b);
    case BinaryOperation::kMultiply:
      return Value::of(a * b);
    case BinaryOperation::kPower:
      return Value::of(std::pow(a, b));
    default:
      break;
  }
  if (b == 0) return Error{ErrorCode::kInvalidArgument, "division by zero"};
  if (operation == BinaryOperation::kDivide) return Value::of(a / b);
  const double quotient = std::floor(a / b);
  return Value::of(operation == BinaryOperation::kFloorDivide ? quotient : a - quotient * b);
}

// Where slicing begins and ends, for a sequence of `size` elements.
struct SliceRange {
  int64_t start;
  int64_t stop;
  int64_t step;
};

Result<int64_t> slice_bound(const Value& value, int64_t otherwise, int64_t low, int64_t size) {
  if (value.is_undefined() || value.is_none()) return otherwise;
  const auto whole = value.whole_number();
  if (!whole) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("slices take whole numbers, found {}", value.kind_name())};
  }
  // Only negative numbers get the size added, so the sum cannot overflow.
  const int64_t from_start = *whole < 0 ? *whole + size : *whole;
  return std::clamp(from_start, low, low + size);
}

Result<SliceRange> slice_range(const Value& start, const Value& stop, const Value& step,
                               size_t length) {
  const auto size = static_cast<int64_t>(length);
  SliceRange range{0, 0, 1};
  if (!step.is_undefined() && !step.is_none()) {
    const auto whole = step.whole_number();
    if (!whole || *whole == 0) {
      return Error{ErrorCode::kInvalidArgument, "the step of a slice is a whole number, not zero"};
    }
    // Larger steps make no difference; bounded ones cannot overflow.
    range.step = std::clamp(*whole, -size - 1, size + 1);
  }
  const bool forward = range.step > 0;
  const int64_t low = forward ? 0 : -1;
  auto first = slice_bound(start, forward ? 0 : size - 1, low, size);
  if (!first) return first.error();
  auto last = slice_bound(stop, forward ? size : -1, low, size);
  if (!last) return last.error();
  range.start = *first;
  range.stop = *last;
  return range;
}

Result<Value> slice_text(const MarkedText& text, const SliceRange& range, Heap* heap) {
  Budget* budget = &heap->budget();
  const std::string_view bytes = text.bytes();
  budget->spend_text(bytes.size());
  // The usual case needs no table of offsets.
  if (range.step == 1) {
    const size_t begin = character_offset(bytes, static_cast<size_t>(range.start));
    const auto count = static_cast<size_t>(std::max<int64_t>(range.stop - range.start, 0));
    const size_t end = begin + character_offset(bytes.substr(begin), count);
    return heap->text(text.slice(begin, end, budget));
  }
  BudgetVector<uint32_t> offsets(budget);  // texts are shorter than 2^32 bytes
  uint32_t at = 0;
  for (; at < bytes.size() && !budget->exceeded();
       at += static_cast<uint32_t>(utf8_length(bytes[at]))) {
    offsets.push_back(at);
  }
  offsets.push_back(at);
  if (Status status = budget->check(); !status) return status.error();
  MarkedText out = heap->blank();
  for (int64_t i = range.start; range.step > 0 ? i < range.stop : i > range.stop; i += range.step) {
    out.append(text, offsets[static_cast<size_t>(i)], offsets[static_cast<size_t>(i) + 1]);
    if (budget->exceeded()) return budget->check().error();
  }
  return heap->text(std::move(out));
}

}  // namespace

bool is_true(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (const auto number = value.number()) return *number != 0;
  if (const MarkedText* text = value.text()) return !text->empty();
  if (const List* list = value.list()) return !list->items.empty();
  if (const Map* map = value.map()) return map->is_namespace || !map->entries().empty();
  return true;
}

bool are_equal(const Value& left, const Value& right, Budget* budget) {
  return equal(left, right, 0, budget);
}

Result<bool> is_less(const Value& left, const Value& right, Budget* budget) {
  return less(left, right, 0, budget);
}

Result<bool> compare(Comparison comparison, const Value& left, const Value& right, Budget* budget) {
  switch (comparison) {
    case Comparison::kEqual:
      return are_equal(left, right, budget);
    case Comparison::kUnequal:
      return !are_equal(left, right, budget);
    case Comparison::kLess:
      return is_less(left, right, budget);
    case Comparison::kGreater:
      return is_less(right, left, budget);
    case Comparison::kIn:
      return contains(right, left, budget);
    case Comparison::kNotIn: {
      auto found = contains(right, left, budget);
      return found ? Result<bool>(!*found) : found;
    }
    default:
      break;
  }
  auto before = comparison == Comparison::kLessEqual ? is_less(left, right, budget)
                                                     : is_less(right, left, budget);
  return before && !*before ? Result<bool>(are_equal(left, right, budget)) : before;
}

Result<Value> apply_binary(BinaryOperation operation, const Value& left, const Value& right,
                           Heap* heap) {
  if (operation == BinaryOperation::kConcatenate) return concatenate(left, right, heap);
  const auto a = left.number();
  const auto b = right.number();
  if (a && b) {
    const auto whole_a = left.whole_number();
    const auto whole_b = right.whole_number();
    const bool is_real =
        operation == BinaryOperation::kDivide || (operation == BinaryOperation::kPower && *b < 0);
    if (!whole_a || !whole_b || is_real) return calculate_real(operation, *a, *b);
    return calculate_whole(operation, *whole_a, *whole_b);
  }
  if (operation == BinaryOperation::kAdd) return add(left, right, heap);
  if (operation == BinaryOperation::kMultiply) {
    const auto is_sequence = [](const Value& v) {
      return v.text() != nullptr || v.list() != nullptr;
    };
    if (is_sequence(left) && right.whole_number()) return repeat(left, *right.whole_number(), heap);
    if (is_sequence(right) && left.whole_number()) return repeat(right, *left.whole_number(), heap);
  }
  if (operation == BinaryOperation::kModulo && left.text() != nullptr) {
    return Error{ErrorCode::kUnsupported, "formatting text with '%' is not supported"};
  }
  return mismatch("arithmetic", left, right);
}

Result<Value> negate(const Value& operand) {
  if (const double* real = operand.floating()) return Value::of(-*real);
  const auto whole = operand.whole_number();
  if (!whole) return mismatch("'-'", Value::of(int64_t{0}), operand);
  if (*whole == INT64_MIN) return overflow();
  return Value::of(-*whole);
}

Result<Value> subscript(const Value& value, const Value& index, Heap* heap) {
  if (value.is_undefined()) {
    return Error{ErrorCode::kInvalidArgument, "the value that is subscripted is undefined"};
  }
  if (const Map* map = value.map()) {
    const Value* found = map->find(index);
    return found == nullptr ? Value() : *found;
  }
  const auto whole = index.whole_number();
  const auto length = length_of(value, &heap->budget());
  if (!whole || !length) return Value();
  const auto size = static_cast<int64_t>(*length);
  const int64_t at = *whole < 0 ? *whole + size : *whole;
  if (at < 0 || at >= size) return Value();
  if (const List* list = value.list()) return list->items[static_cast<size_t>(at)];
  const MarkedText& text = *value.text();
  heap->budget().spend_text(text.size());
  const size_t begin = character_offset(text.bytes(), static_cast<size_t>(at));
  const size_t end = begin + utf8_length(text.bytes()[begin]);
  return heap->text(text.slice(begin, end, &heap->budget()));
}

Result<Value> slice(const Value& value, const Value& start, const Value& stop, const Value& step,
                    Heap* heap) {
  Budget* budget = &heap->budget();
  const auto length = value.map() == nullptr ? length_of(value, budget) : std::nullopt;
  if (!length) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("slices work on texts and lists, found {}", value.kind_name())};
  }
  if (value.is_undefined()) return Value();
  auto range = slice_range(start, stop, step, *length);
  if (!range) return range.error();
  if (value.text() != nullptr) return slice_text(*value.text(), *range, heap);
  Values items = heap->values();
  for (int64_t i = range->start; range->step > 0 ? i < range->stop : i > range->stop;
       i += range->step) {
    items.push_back(value.list()->items[static_cast<size_t>(i)]);
    if (budget->exceeded()) return budget->check().error();
  }
  return value.list()->is_tuple ? heap->tuple(std::move(items)) : heap->list(std::move(items));
}

Result<Values> elements_of(const Value& value, Heap* heap) {
  Budget* budget = &heap->budget();
  Values elements = heap->values();
  if (value.is_undefined()) return elements;
  if (const List* list = value.list()) {
    elements.append(list->items.data(), list->items.size());
    budget->spend(list->items.size());
    if (Status status = budget->check(); !status) return status.error();
    return elements;
  }
  if (const Map* map = value.map(); map != nullptr && !map->is_namespace) {
    for (const Map::Entry& entry : map->entries()) elements.push_back(entry.key);
    if (Status status = budget->check(); !status) return status.error();
    return elements;
  }
  const MarkedText* text = value.text();
  if (text == nullptr) {
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("a value of type {} has no elements to go through", value.kind_name())};
  }
  for (size_t at = 0; at < text->size();) {
    const size_t end = at + utf8_length(text->bytes()[at]);
    elements.push_back(heap->text(text->slice(at, end, budget)));
    if (Status status = budget->check(); !status) return status.error();
    at = end;
  }
  return elements;
}

std::optional<size_t> length_of(const Value& value, Budget* budget) {
  if (value.is_undefined()) return 0;
  if (const MarkedText* text = value.text()) {
    budget->spend_text(text->size());
    return count_characters(text->bytes());
  }
  if (const List* list = value.list()) return list->items.size();
  if (const Map* map = value.map(); map != nullptr && !map->is_namespace) {
    return map->entries().size();
  }
  return std::nullopt;
}

std::optional<size_t> find_text(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::nullopt;
  if (needle.empty()) return from;
  if (text.empty()) return std::nullopt;  // memmem() must not be given null
  // memmem() takes time linear in both (two-way search in glibc); string_view::find() takes the
  // product of both lengths on a text such as "aaaa", which a user may send.
  const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (found == nullptr) return std::nullopt;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace potluck
