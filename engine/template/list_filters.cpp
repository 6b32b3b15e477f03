#include "engine/template/list_filters.h"

#include <algorithm>
#include <charconv>

#include "engine/base/printable.h"
#include "engine/template/characters.h"
#include "engine/template/filters.h"
#include "engine/template/operators.h"
#include "engine/template/text_operations.h"
#include "engine/template/value_tests.h"

namespace potluck {
namespace {

using namespace calls;

// Follows a path such as "function.name" or "0"; undefined where its last step finds nothing.
Result<Value> attribute_of(Context context, In value, In path) {
  if (path.whole_number()) return subscript(value, path, &context.heap);
  if (path.text() == nullptr) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("attribute: expected a name, found {}", path.kind_name())};
  }
  Value at = value;
  std::string_view rest = path.text()->bytes();
  for (bool more = true; more;) {
    const size_t dot = rest.find('.');
    const std::string_view name = rest.substr(0, dot);
    int64_t index = 0;
    const char* end = name.data() + name.size();
    const bool is_index = std::from_chars(name.data(), end, index).ptr == end && !name.empty();
    auto next = subscript(
        at, is_index ? Value::of(index) : context.heap.text(name, Trust::kTemplate), &context.heap);
    if (!next) return next.error();
    at = std::move(*next);
    more = dot != std::string_view::npos;
    if (more) rest.remove_prefix(dot + 1);
  }
  return at;
}

// The key that an element is compared by: itself or an attribute; texts in small letters unless
// case counts.
Result<Value> sort_key(Context context, In item, In attribute, bool case_sensitive) {
  Value key = item;
  if (!attribute.is_undefined() && !attribute.is_none()) {
    auto found = attribute_of(context, item, attribute);
    if (!found) return found.error();
    key = std::move(*found);
  }
  if (case_sensitive || key.text() == nullptr) return key;
  return context.heap.text(lower(*key.text(), &context.budget()));
}

struct Keyed {
  Value key;
  Value item;
};

// Keys are computed once per element and not once per comparison.
Result<BudgetVector<Keyed>> with_keys(Context context, In subject, In attribute,
                                      bool case_sensitive) {
  auto items = elements_of(subject, &context.heap);
  if (!items) return items.error();
  BudgetVector<Keyed> keyed(&context.budget());
  for (Value& item : *items) {
    auto key = sort_key(context, item, attribute, case_sensitive);
    if (!key) return key.error();
    keyed.push_back({std::move(*key), std::move(item)});
    if (Status status = context.budget().check(); !status) return status.error();
  }
  return keyed;
}

// A merge sort of our own: the comparison may fail, which no algorithm of the library expects, and
// one that contradicts itself would be undefined behavior there. Stable, as Python's is.
Status sort_keyed(BudgetVector<Keyed>* items, bool descending, Budget* budget) {
  BudgetVector<Keyed> merged(budget);
  if (!merged.reserve(items->size())) return budget->check();
  for (size_t width = 1; width < items->size(); width *= 2) {
    merged.drop_items();
    for (size_t begin = 0; begin < items->size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, items->size());
      const size_t end = std::min(begin + 2 * width, items->size());
      size_t left = begin;
      size_t right = middle;
      while (left < middle || right < end) {
        bool takes_right = left == middle;
        if (left < middle && right < end) {
          const Value& a = (*items)[left].key;
          const Value& b = (*items)[right].key;
          auto before = descending ? is_less(a, b, budget) : is_less(b, a, budget);
          if (!before) return before.error();
          takes_right = *before;
        }
        merged.push_back(std::move((*items)[takes_right ? right++ : left++]));
      }
    }
    items->swap(merged);
  }
  return {};
}

Result<Value> sorted(Context context, Result<BudgetVector<Keyed>> keyed, bool descending) {
  if (!keyed) return keyed.error();
  if (Status status = sort_keyed(&*keyed, descending, &context.budget()); !status) {
    return status.error();
  }
  Values items = context.heap.values();
  for (Keyed& entry : *keyed) items.push_back(std::move(entry.item));
  return context.heap.list(std::move(items));
}

Result<Values> items_of(Context context, In subject) {
  Values items = context.heap.values();
  if (subject.is_undefined()) return items;
  const Map* map = subject.map();
  if (map == nullptr || map->is_namespace) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("items: expected a mapping, found {}", subject.kind_name())};
  }
  for (const Map::Entry& entry : map->entries()) {
    items.push_back(context.heap.pair(entry.key, entry.value));
    if (Status status = context.budget().check(); !status) return status.error();
  }
  return items;
}

Result<Value> extreme(Context context, In subject, Given given, bool largest) {
  auto keyed = with_keys(context, subject, given.positional[1], is_true(given.positional[0]));
  if (!keyed) return keyed.error();
  if (keyed->empty()) return Value();
  const Keyed* best = &keyed->front();
  for (const Keyed& other : *keyed) {
    auto better = largest ? is_less(best->key, other.key, &context.budget())
                          : is_less(other.key, best->key, &context.budget());
    if (!better) return better.error();
    if (*better) best = &other;
  }
  return best->item;
}

// The elements that select(), map() and the like go through: none where the subject is false.
Result<Values> candidates(Context context, In subject) {
  return is_true(subject) ? elements_of(subject, &context.heap)
                          : Result<Values>(context.heap.values());
}

// The arguments for the filter or test that is called: those behind the first `skipped`.
Arguments arguments_after(Context context, Given given, size_t skipped) {
  Arguments rest(&context.budget());
  const size_t count = given.positional.size();
  rest.positional.append(given.positional.data() + std::min(skipped, count),
                         count - std::min(skipped, count));
  return rest;
}

// Runs the test that the arguments name from `first` on, or takes the truth of the value; for
// select() and the like.
Result<bool> passes(Context context, In value, Given given, size_t first) {
  if (given.positional.size() <= first) return is_true(value);
  const MarkedText* name = given.positional[first].text();
  const TestRow* test = name == nullptr ? nullptr : find_value_test(name->bytes());
  if (test == nullptr) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("the test '{}' is not supported",
                             name == nullptr ? "?" : printable(name->bytes()))};
  }
  return run_value_test(*test, context, value, arguments_after(context, given, first + 1));
}

Result<Value> choose(Context context, In subject, Given given, bool by_attribute, bool wanted) {
  if (!given.named.empty() || (by_attribute && given.positional.empty())) {
    return Error{ErrorCode::kInvalidArgument,
                 "expected the name of an attribute, a test and its argument"};
  }
  auto items = candidates(context, subject);
  if (!items) return items.error();
  Values chosen = context.heap.values();
  for (Value& item : *items) {
    Result<Value> seen =
        by_attribute ? attribute_of(context, item, given.positional[0]) : Result<Value>(item);
    if (!seen) return seen.error();
    auto passed = passes(context, *seen, given, by_attribute ? 1 : 0);
    if (!passed) return passed.error();
    if (*passed == wanted) chosen.push_back(std::move(item));
    if (Status status = context.budget().check(); !status) return status.error();
  }
  return context.heap.list(std::move(chosen));
}

// The element that map() makes of one element.
Result<Value> mapped(Context context, In item, Given given) {
  if (const Value* attribute = given.find("attribute")) {
    auto value = attribute_of(context, item, *attribute);
    const Value* otherwise = given.find("default");
    return value && value->is_undefined() && otherwise != nullptr ? *otherwise : value;
  }
  const MarkedText* name = given.positional.empty() ? nullptr : given.positional[0].text();
  const FilterRow* filter = name == nullptr ? nullptr : find_filter(name->bytes());
  // A "map" within a map would recurse once per argument without passing enter(), which bounds the
  // nesting.
  if (filter == nullptr || filter->name == "map") {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("map: the filter '{}' is not supported",
                             name == nullptr ? "?" : printable(name->bytes()))};
  }
  Arguments rest = arguments_after(context, given, 1);
  rest.named.append(given.named.data(), given.named.size());
  if (Status status = context.budget().check(); !status) return status.error();
  return run_filter(*filter, context, item, rest);
}

}  // namespace

Result<Value> filter_list(Context context, In subject, Given) {
  auto items = elements_of(subject, &context.heap);
  if (!items) return items.error();
  return context.heap.list(std::move(*items));
}

Result<Value> filter_first(Context context, In subject, Given) {
  auto items = elements_of(subject, &context.heap);
  if (!items) return items.error();
  return items->empty() ? Value() : items->front();
}

Result<Value> filter_last(Context context, In subject, Given) {
  auto items = elements_of(subject, &context.heap);
  if (!items) return items.error();
  return items->empty() ? Value() : items->back();
}

Result<Value> filter_join(Context context, In subject, Given given) {
  auto items = elements_of(subject, &context.heap);
  if (!items) return items.error();
  const Value& attribute = given.positional[1];
  if (!attribute.is_undefined()) {
    for (Value& item : *items) {
      auto value = attribute_of(context, item, attribute);
      if (!value) return value.error();
      item = std::move(*value);
      if (Status status = context.budget().check(); !status) return status.error();
    }
  }
  const MarkedText nothing = context.heap.blank();
  const MarkedText* separator = given.positional[0].text();
  if (separator == nullptr && !given.positional[0].is_undefined()) {
    return text_of(given.positional[0], "join").error();
  }
  auto joined = join(*items, separator == nullptr ? nothing : *separator, &context.heap);
  if (!joined) return joined.error();
  return context.heap.text(std::move(*joined));
}

Result<Value> filter_items(Context context, In subject, Given) {
  auto items = items_of(context, subject);
  if (!items) return items.error();
  return context.heap.list(std::move(*items));
}

Result<Value> filter_dictsort(Context context, In subject, Given given) {
  bool by_value = false;
  if (const MarkedText* by = given.positional[1].text()) by_value = by->bytes() == "value";
  if (subject.map() == nullptr) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("dictsort: expected a mapping, found {}", subject.kind_name())};
  }
  auto items = items_of(context, subject);
  if (!items) return items.error();
  const Value index = Value::of(int64_t{by_value ? 1 : 0});
  return sorted(
      context,
      with_keys(context, context.heap.list(std::move(*items)), index, is_true(given.positional[0])),
      is_true(given.positional[2]));
}

Result<Value> filter_sort(Context context, In subject, Given given) {
  return sorted(context,
                with_keys(context, subject, given.positional[2], is_true(given.positional[1])),
                is_true(given.positional[0]));
}

Result<Value> filter_unique(Context context, In subject, Given given) {
  auto keyed = with_keys(context, subject, given.positional[1], is_true(given.positional[0]));
  if (!keyed) return keyed.error();
  Values kept = context.heap.values();
  Values seen = context.heap.values();
  for (Keyed& entry : *keyed) {
    // Quadratic, because values have no hash here; are_equal() spends from the budget, which ends
    // it.
    const bool known = std::any_of(seen.begin(), seen.end(), [&](const Value& other) {
      return are_equal(entry.key, other, &context.budget());
    });
    if (Status status = context.budget().check(); !status) return status.error();
    if (known) continue;
    seen.push_back(std::move(entry.key));
    kept.push_back(std::move(entry.item));
  }
  return context.heap.list(std::move(kept));
}

Result<Value> filter_sum(Context context, In subject, Given given) {
  auto keyed = with_keys(context, subject, given.positional[0], true);
  if (!keyed) return keyed.error();
  Value total = given.positional[1].is_undefined() ? Value::of(int64_t{0}) : given.positional[1];
  for (const Keyed& entry : *keyed) {
    auto next = apply_binary(BinaryOperation::kAdd, total, entry.key, &context.heap);
    if (!next) return next.error();
    total = std::move(*next);
    if (Status status = context.budget().check(); !status) return status.error();
  }
  return total;
}

Result<Value> filter_min(Context context, In subject, Given given) {
  return extreme(context, subject, given, false);
}

Result<Value> filter_max(Context context, In subject, Given given) {
  return extreme(context, subject, given, true);
}

Result<Value> filter_map(Context context, In subject, Given given) {
  auto items = candidates(context, subject);
  if (!items) return items.error();
  for (Value& item : *items) {
    auto made = mapped(context, item, given);
    if (!made) return made.error();
    item = std::move(*made);
    if (Status status = context.budget().check(); !status) return status.error();
  }
  return context.heap.list(std::move(*items));
}

Result<Value> filter_select(Context context, In subject, Given given) {
  return choose(context, subject, given, false, true);
}

Result<Value> filter_reject(Context context, In subject, Given given) {
  return choose(context, subject, given, false, false);
}

Result<Value> filter_selectattr(Context context, In subject, Given given) {
  return choose(context, subject, given, true, true);
}

Result<Value> filter_rejectattr(Context context, In subject, Given given) {
  return choose(context, subject, given, true, false);
}

}  // namespace potluck
