// Methods of text, lists and mappings as Python has them, and the functions that every template
// knows.
#include "engine/template/methods.h"

#include <algorithm>
#include <ctime>
#include <span>

#include "engine/base/printable.h"
#include "engine/base/utf8.h"
#include "engine/template/characters.h"
#include "engine/template/operators.h"
#include "engine/template/serialize.h"
#include "engine/template/text_operations.h"

namespace potluck {
namespace {

using namespace calls;

// --- Texts -----------------------------------------------------------------------------------

template <Ends ends>
Result<Value> text_strip(Context context, In subject, Given given) {
  return context.heap.text(strip(*subject.text(), ends, nth(given, 0).text(), &context.budget()));
}

template <bool from_right>
Result<Value> text_split(Context context, In subject, Given given) {
  auto count = whole_number_of(nth(given, 1), "maxsplit", -1);
  if (!count) return count.error();
  const Value& separator = nth(given, 0);
  if (separator.text() == nullptr && !separator.is_none() && !separator.is_undefined()) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("split: expected a text, found {}", separator.kind_name())};
  }
  return split(*subject.text(), separator.text(), *count, from_right, &context.heap);
}

Result<Value> text_splitlines(Context context, In subject, Given) {
  context.budget().spend_text(subject.text()->size());
  Values items = context.heap.values();
  Lines lines(subject.text()->bytes());
  while (const auto line = lines.next()) {
    MarkedText text = subject.text()->slice(line->begin, line->end, &context.budget());
    items.push_back(context.heap.text(std::move(text)));
    if (Status status = context.budget().check(); !status) return status.error();
  }
  return context.heap.list(std::move(items));
}

bool has_end(std::string_view text, std::string_view part, bool at_start) {
  return at_start ? text.starts_with(part) : text.ends_with(part);
}

// The argument is a text, or a tuple of texts of which one is enough.
template <bool at_start>
Result<Value> text_has_end(Context context, In subject, Given given) {
  const std::string_view text = subject.text()->bytes();
  const List* list = nth(given, 0).list();
  const bool is_tuple = list != nullptr && list->is_tuple;
  const std::span<const Value> parts =
      is_tuple ? std::span(list->items.data(), list->items.size()) : std::span(&nth(given, 0), 1);
  for (const Value& part : parts) {
    auto wanted = text_of(part, at_start ? "startswith" : "endswith");
    if (!wanted) return wanted.error();
    context.budget().spend_text((*wanted)->size());
    if (Status status = context.budget().check(); !status) return status.error();
    if (has_end(text, (*wanted)->bytes(), at_start)) return Value::of(true);
  }
  return Value::of(false);
}

template <bool at_start>
Result<Value> text_remove_end(Context context, In subject, Given given) {
  auto part = text_of(nth(given, 0), at_start ? "removeprefix" : "removesuffix");
  if (!part) return part.error();
  const MarkedText& text = *subject.text();
  const size_t size = (*part)->size();
  context.budget().spend_text(size);
  if (!has_end(text.bytes(), (*part)->bytes(), at_start)) return subject;
  return context.heap.text(at_start ? text.slice(size, text.size(), &context.budget())
                                    : text.slice(0, text.size() - size, &context.budget()));
}

Result<Value> text_replace(Context context, In subject, Given given) {
  auto from = text_of(nth(given, 0), "replace");
  if (!from) return from.error();
  auto to = text_of(nth(given, 1), "replace");
  if (!to) return to.error();
  auto count = whole_number_of(nth(given, 2), "count", -1);
  if (!count) return count.error();
  auto out = replace(*subject.text(), **from, **to, *count, &context.budget());
  if (!out) return out.error();
  return context.heap.text(std::move(*out));
}

Result<Value> text_upper(Context context, In subject, Given) {
  return context.heap.text(upper(*subject.text(), &context.budget()));
}
Result<Value> text_lower(Context context, In subject, Given) {
  return context.heap.text(lower(*subject.text(), &context.budget()));
}
Result<Value> text_capitalize(Context context, In subject, Given) {
  return context.heap.text(capitalize(*subject.text(), &context.budget()));
}
Result<Value> text_title(Context context, In subject, Given) {
  return context.heap.text(title(*subject.text(), &context.budget()));
}

Result<Value> text_find(Context context, In subject, Given given) {
  auto wanted = text_of(nth(given, 0), "find");
  if (!wanted) return wanted.error();
  const std::string_view text = subject.text()->bytes();
  context.budget().spend_text(text.size());
  const auto found = find_text(text, (*wanted)->bytes(), 0);
  // Python counts characters, not bytes.
  return found ? Value::of(count_characters(text.substr(0, *found))) : Value::of(int64_t{-1});
}

Result<Value> text_count(Context context, In subject, Given given) {
  auto wanted = text_of(nth(given, 0), "count");
  if (!wanted) return wanted.error();
  return Value::of(count_text(subject.text()->bytes(), (*wanted)->bytes(), &context.budget()));
}

Result<Value> text_join(Context context, In subject, Given given) {
  auto items = elements_of(nth(given, 0), &context.heap);
  if (!items) return items.error();
  // Unlike the filter, Python's method takes texts only.
  for (const Value& item : *items) {
    if (auto text = text_of(item, "join"); !text) return text.error();
  }
  auto joined = join(*items, *subject.text(), &context.heap);
  if (!joined) return joined.error();
  return context.heap.text(std::move(*joined));
}

Result<Value> text_isdigit(Context context, In subject, Given) {
  const std::string_view text = subject.text()->bytes();
  context.budget().spend_text(text.size());
  return Value::of(!text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos);
}

// "{} {0} {name}": fields without conversions and formats.
Result<Value> text_format(Context context, In subject, Given given) {
  const MarkedText& pattern = *subject.text();
  const std::string_view bytes = pattern.bytes();
  MarkedText out = context.heap.blank();
  size_t next = 0;
  context.budget().spend_text(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    if (Status status = context.budget().check(); !status) return status.error();
    const size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
    out.append(pattern, at, brace);
    if (brace == bytes.size()) break;
    if (brace + 1 < bytes.size() && bytes[brace + 1] == bytes[brace]) {
      out.append(pattern, brace, brace + 1);
      at = brace + 2;
      continue;
    }
    const size_t end = bytes.find('}', brace);
    const std::string_view field = end == std::string_view::npos || bytes[brace] == '}'
                                       ? ":"
                                       : bytes.substr(brace + 1, end - brace - 1);
    if (field.find_first_of(":!.[") != std::string_view::npos) {
      return Error{ErrorCode::kUnsupported, "format: only {}, {0} and {name} are supported"};
    }
    const bool is_index = field.find_first_not_of("0123456789") == std::string_view::npos;
    const size_t index = field.empty()                  ? next++
                         : is_index && field.size() < 6 ? std::stoul(std::string(field))
                                                        : SIZE_MAX;
    const Value* value =
        is_index && index < given.positional.size() ? &given.positional[index] : given.find(field);
    if (value == nullptr) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("format: no argument for the field '{}'", printable(field))};
    }
    auto text = to_text(*value, &context.heap);
    if (!text) return text.error();
    out.append(**text);
    at = end + 1;
  }
  return context.heap.text(std::move(out));
}

// --- Lists -----------------------------------------------------------------------------------

Result<Value> list_append(Context context, In subject, Given given) {
  context.heap.append(subject.list(), nth(given, 0));
  return Value::none();
}

Result<Value> list_extend(Context context, In subject, Given given) {
  auto items = elements_of(nth(given, 0), &context.heap);
  if (!items) return items.error();
  for (Value& item : *items) context.heap.append(subject.list(), std::move(item));
  return Value::none();
}

Result<Value> list_pop(Context context, In subject, Given given) {
  auto& items = subject.list()->items;
  auto index = whole_number_of(nth(given, 0), "pop", -1);
  if (!index) return index.error();
  const auto size = static_cast<int64_t>(items.size());
  const int64_t at = *index < 0 ? *index + size : *index;
  if (at < 0 || at >= size) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("pop: no element {} in a list of {}", *index, size)};
  }
  // What is behind the element moves up.
  context.budget().spend(static_cast<uint64_t>(size - at));
  Value taken = items[static_cast<size_t>(at)];
  items.erase(static_cast<size_t>(at));
  return taken;
}

Result<Value> list_index(Context context, In subject, Given given) {
  const auto& items = subject.list()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (are_equal(items[i], nth(given, 0), &context.budget())) return Value::of(i);
    if (Status status = context.budget().check(); !status) return status.error();
  }
  return Error{ErrorCode::kInvalidArgument, "index: the list has no such element"};
}

Result<Value> list_count(Context context, In subject, Given given) {
  const auto& items = subject.list()->items;
  return Value::of(
      static_cast<size_t>(std::count_if(items.begin(), items.end(), [&](const Value& item) {
        return are_equal(item, nth(given, 0), &context.budget());
      })));
}

// --- Mappings --------------------------------------------------------------------------------

Result<Value> map_get(Context, In subject, Given given) {
  const Value* found = subject.map()->find(nth(given, 0));
  if (found != nullptr) return *found;
  return nth(given, 1).is_undefined() ? Value::none() : nth(given, 1);
}

Result<Value> map_pop(Context context, In subject, Given given) {
  context.budget().spend(subject.map()->entries().size());
  Value removed;
  if (subject.map()->remove(nth(given, 0), &removed)) return removed;
  if (!nth(given, 1).is_undefined()) return nth(given, 1);
  return Error{ErrorCode::kInvalidArgument, "pop: the mapping has no such key"};
}

Result<Value> map_items(Context context, In subject, Given) {
  Values items = context.heap.values();
  for (const Map::Entry& entry : subject.map()->entries()) {
    items.push_back(context.heap.pair(entry.key, entry.value));
    if (Status status = context.budget().check(); !status) return status.error();
  }
  return context.heap.list(std::move(items));
}

Result<Value> map_keys(Context context, In subject, Given) {
  auto keys = elements_of(subject, &context.heap);
  if (!keys) return keys.error();
  return context.heap.list(std::move(*keys));
}

Result<Value> map_values(Context context, In subject, Given) {
  Values values = context.heap.values();
  for (const Map::Entry& entry : subject.map()->entries()) values.push_back(entry.value);
  return context.heap.list(std::move(values));
}

Result<Value> map_update(Context context, In subject, Given given) {
  const Map* other = given.positional.empty() ? nullptr : given.positional[0].map();
  if (given.positional.size() > 1 || (given.positional.size() == 1 && other == nullptr)) {
    return Error{ErrorCode::kInvalidArgument, "expected a mapping and named arguments"};
  }
  if (other != nullptr) {
    const BudgetVector<Map::Entry> entries = other->entries();  // it may be the same mapping
    for (const Map::Entry& entry : entries) {
      context.heap.set(subject.map(), entry.key, entry.value);
      if (Status status = context.budget().check(); !status) return status.error();
    }
  }
  for (const auto& [name, value] : given.named) context.heap.set(subject.map(), name, value);
  return Value::none();
}

constexpr MethodRow kTextMethods[] = {
    {"strip", "chars", text_strip<Ends::kBoth>},
    {"lstrip", "chars", text_strip<Ends::kLeft>},
    {"rstrip", "chars", text_strip<Ends::kRight>},
    {"split", "sep maxsplit", text_split<false>},
    {"rsplit", "sep maxsplit", text_split<true>},
    {"splitlines", "", text_splitlines},
    {"startswith", "prefix", text_has_end<true>},
    {"endswith", "suffix", text_has_end<false>},
    {"removeprefix", "prefix", text_remove_end<true>},
    {"removesuffix", "suffix", text_remove_end<false>},
    {"replace", "old new count", text_replace},
    {"upper", "", text_upper},
    {"lower", "", text_lower},
    {"capitalize", "", text_capitalize},
    {"title", "", text_title},
    {"find", "sub", text_find},
    {"count", "sub", text_count},
    {"join", "iterable", text_join},
    {"isdigit", "", text_isdigit},
    {"format", "*", text_format},
};

constexpr MethodRow kListMethods[] = {
    {"append", "object", list_append}, {"extend", "iterable", list_extend},
    {"pop", "index", list_pop},        {"index", "value", list_index},
    {"count", "value", list_count},
};

constexpr MethodRow kMapMethods[] = {
    {"get", "key default", map_get}, {"pop", "key default", map_pop}, {"items", "", map_items},
    {"keys", "", map_keys},          {"values", "", map_values},      {"update", "*", map_update},
};

// --- Functions -------------------------------------------------------------------------------

Result<Value> make_map(Context context, Given given, bool is_namespace) {
  Map* map = context.heap.map();
  Result<Value> filled = map_update(context, Value::of(map), given);
  if (!filled) return filled.error();
  map->is_namespace = is_namespace;
  return Value::of(map);
}

Result<Value> make_range(Context context, Given given) {
  auto bound = bind_arguments("range", "start stop step", given);
  if (!bound) return bound.error();
  int64_t numbers[3] = {0, 0, 1};
  const size_t count = given.positional.size();
  for (size_t i = 0; i < count; ++i) {
    const Value& bound_value = bound->positional[i];
    const auto whole = bound_value.whole_number();
    if (!whole) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("range: expected whole numbers, found {}", bound_value.kind_name())};
    }
    // A single argument is the stop, not the start.
    numbers[count == 1 ? 1 : i] = *whole;
  }
  const auto [start, stop, step] = numbers;
  if (count == 0 || !given.named.empty() || step == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "range: expected (stop) or (start, stop, step), the "
                 "step not zero"};
  }
  Values items = context.heap.values();
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (items.size() == limits::kTemplateRange) {
      return Error{ErrorCode::kLimit,
                   fmt::format("range: more than {} elements", limits::kTemplateRange)};
    }
    items.push_back(Value::of(i));
    if (Status status = context.budget().check(); !status) return status.error();
    // range(2**63 - 2, 2**63 - 1, 5) ends, as it does in Python.
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return context.heap.list(std::move(items));
}

// Each conversion by itself, without flags and widths: no format can ask for much text. The seconds
// are local ones already, so gmtime_r() is right and no database of time zones is read. Names are
// English: the program leaves LC_TIME as it is.
Result<Value> format_time(Context context, Given given) {
  if (nth(given, 0).text() == nullptr) {
    return Error{ErrorCode::kInvalidArgument, "strftime_now: expected a format"};
  }
  const auto seconds = static_cast<std::time_t>(context.local_seconds);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  const std::string_view format = nth(given, 0).text()->bytes();
  context.budget().spend(format.size());
  MarkedText out = context.heap.blank();
  for (size_t i = 0; i < format.size(); ++i) {
    if (Status status = context.budget().check(); !status) return status.error();
    if (format[i] != '%' || i + 1 == format.size()) {
      out.append(format.substr(i, 1), Trust::kTemplate);
      continue;
    }
    std::string conversion = "%";
    if (format[i + 1] == '-' && i + 2 < format.size()) conversion += format[++i];
    conversion += format[++i];
    constexpr std::string_view kKnown = "aAbBcdDeFHIjmMpSTuUwWxXyY%";
    if (kKnown.find(conversion.back()) == std::string_view::npos) {
      return Error{
          ErrorCode::kUnsupported,
          fmt::format("strftime_now: the conversion '{}' is not supported", printable(conversion))};
    }
    char text[64];
    const size_t length = std::strftime(text, sizeof text, conversion.c_str(), &parts);
    out.append(std::string_view(text, length), Trust::kTemplate);
  }
  return context.heap.text(std::move(out));
}

Error raised(Given given) {
  const MarkedText* text = nth(given, 0).text();
  std::string bytes(text == nullptr ? "" : text->bytes().substr(0, 300));
  std::string message = take_characters(&bytes);  // not the half of one at the end
  // The message may quote a user, and must not begin a line of its own in a log.
  std::replace_if(
      message.begin(), message.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; },
      ' ');
  return {ErrorCode::kInvalidArgument, "the template refuses: " + message};
}

}  // namespace

const MethodRow* find_method(const Value& subject, std::string_view name) {
  std::span<const MethodRow> rows;
  if (subject.text() != nullptr) rows = kTextMethods;
  if (subject.list() != nullptr) rows = kListMethods;
  if (subject.map() != nullptr && !subject.map()->is_namespace) rows = kMapMethods;
  // Tuples do not change, in Python and in templates that rely on it.
  const auto changes = [](std::string_view method) {
    return method == "append" || method == "extend" || method == "pop";
  };
  if (subject.list() != nullptr && subject.list()->is_tuple && changes(name)) return nullptr;
  const auto row = std::find_if(rows.begin(), rows.end(),
                                [name](const MethodRow& known) { return known.name == name; });
  return row == rows.end() ? nullptr : &*row;
}

Result<Value> run_method(const MethodRow& method, const CallContext& context, const Value& subject,
                         const Arguments& arguments) {
  if (method.parameters == "*") return method.run(context, subject, arguments);
  auto bound = bind_arguments(method.name, method.parameters, arguments);
  if (!bound) return bound.error();
  return method.run(context, subject, *bound);
}

Result<Value> run_function(Function function, const CallContext& context,
                           const Arguments& arguments) {
  switch (function) {
    case Function::kNamespace:
      return make_map(context, arguments, true);
    case Function::kDict:
      return make_map(context, arguments, false);
    case Function::kRange:
      return make_range(context, arguments);
    case Function::kStrftimeNow: {
      auto bound = bind_arguments("strftime_now", "format", arguments);
      return bound ? format_time(context, *bound) : Result<Value>(bound.error());
    }
    case Function::kRaiseException:
      break;
  }
  auto bound = bind_arguments("raise_exception", "message", arguments);
  return bound ? raised(*bound) : bound.error();
}

}  // namespace potluck
