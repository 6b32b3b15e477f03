// Each filter takes the parameters, in the order and with the defaults, of its counterpart in
// Jinja2.
#include "engine/template/filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>
#include <type_traits>

#include "engine/template/characters.h"
#include "engine/template/list_filters.h"
#include "engine/template/operators.h"
#include "engine/template/serialize.h"
#include "engine/template/text_operations.h"

namespace potluck {
namespace {

using namespace calls;

Result<Value> finish(Context context, Result<MarkedText> text) {
  if (!text) return text.error();
  return context.heap.text(std::move(*text));
}

// A filter of text: other values are written as text first.
template <class Operation>
Result<Value> on_text(Context context, In subject, const Operation& operation) {
  auto text = to_text(subject, &context.heap);
  if (!text) return text.error();
  return finish(context, operation(**text));
}

// The parameters and the result are those of the filter that the transformers library puts in place
// of Jinja2's own, which would write <, > and & as escapes: models were trained on the former.
Result<Value> filter_tojson(Context context, In subject, Given given) {
  JsonStyle style;
  style.ascii_only = is_true(nth(given, 0));
  auto indent = whole_number_of(nth(given, 1), "indent", -1);
  if (!indent) return indent.error();
  style.indent = *indent;
  style.sort_keys = is_true(nth(given, 3));
  if (const List* separators = nth(given, 2).list()) {
    const auto& items = separators->items;
    if (items.size() != 2 || items[0].text() == nullptr || items[1].text() == nullptr) {
      return Error{ErrorCode::kInvalidArgument, "separators: expected two texts"};
    }
    style.item_separator = items[0].text()->bytes();
    style.key_separator = items[1].text()->bytes();
  }
  return finish(context, to_json(subject, style, &context.budget()));
}

Result<Value> filter_from_json(Context context, In subject, Given) {
  auto text = text_of(subject, "from_json");
  if (!text) return text.error();
  // One byte of a user in the JSON, and everything read from it is a user's.
  const Trust trust = (*text)->is_trusted() ? Trust::kTemplate : Trust::kUser;
  return context.heap.parse_json((*text)->bytes(), trust);
}

Result<Value> filter_length(Context context, In subject, Given) {
  const auto length = length_of(subject, &context.budget());
  if (length) return Value::of(*length);
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("a value of type {} has no length", subject.kind_name())};
}

Result<Value> filter_default(Context context, In subject, Given given) {
  const bool falls_back = subject.is_undefined() || (is_true(nth(given, 1)) && !is_true(subject));
  if (!falls_back) return subject;
  return nth(given, 0).is_undefined() ? context.heap.text("", Trust::kTemplate) : nth(given, 0);
}

Result<Value> filter_string(Context context, In subject, Given) {
  auto text = to_text(subject, &context.heap);
  return text ? Value::of(std::move(*text)) : Result<Value>(text.error());
}

Result<Value> filter_trim(Context context, In subject, Given given) {
  return on_text(context, subject, [&](const MarkedText& text) {
    return strip(text, Ends::kBoth, nth(given, 0).text(), &context.budget());
  });
}

Result<Value> filter_upper(Context context, In subject, Given) {
  return on_text(context, subject,
                 [&](const MarkedText& text) { return upper(text, &context.budget()); });
}

Result<Value> filter_lower(Context context, In subject, Given) {
  return on_text(context, subject,
                 [&](const MarkedText& text) { return lower(text, &context.budget()); });
}

Result<Value> filter_capitalize(Context context, In subject, Given) {
  return on_text(context, subject,
                 [&](const MarkedText& text) { return capitalize(text, &context.budget()); });
}

Result<Value> filter_title(Context context, In subject, Given) {
  return on_text(context, subject,
                 [&](const MarkedText& text) { return title_words(text, &context.budget()); });
}

Result<Value> filter_replace(Context context, In subject, Given given) {
  auto from = to_text(nth(given, 0), &context.heap);
  if (!from) return from.error();
  auto to = to_text(nth(given, 1), &context.heap);
  if (!to) return to.error();
  auto count = whole_number_of(nth(given, 2), "count", -1);
  if (!count) return count.error();
  return on_text(context, subject, [&](const MarkedText& text) {
    return replace(text, **from, **to, *count, &context.budget());
  });
}

Result<Value> filter_indent(Context context, In subject, Given given) {
  const MarkedText* prefix = nth(given, 0).text();
  MarkedText spaces = context.heap.blank();
  if (prefix == nullptr) {
    auto width = whole_number_of(nth(given, 0), "width", 4);
    if (!width) return width.error();
    spaces.append_spaces(static_cast<uint64_t>(std::max<int64_t>(*width, 0)), Trust::kTemplate);
    prefix = &spaces;
  }
  return on_text(context, subject, [&](const MarkedText& text) {
    return indent(text, *prefix, is_true(nth(given, 1)), is_true(nth(given, 2)), &context.budget());
  });
}

// There is no automatic escaping that could be switched off.
Result<Value> filter_safe(Context context, In subject, Given given) {
  return filter_string(context, subject, given);
}

// Without the underscores that Python allows between digits; nothing if one stands elsewhere, or if
// the text is longer than any number: it is copied.
std::optional<std::string> without_underscores(std::string_view text) {
  constexpr size_t kMostBytes = 4300;  // where int() of Python stops
  if (text.size() > kMostBytes) return std::nullopt;
  const auto is_digit = [&](size_t at) {
    return at < text.size() && text[at] >= '0' && text[at] <= '9';
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || !is_digit(i - 1) || !is_digit(i + 1)) {
      return std::nullopt;
    }
  }
  return out;
}

// What int() and float() of Python read from a text: blanks around it, a sign, underscores between
// digits. Digits are those of ASCII.
template <class Number>
std::optional<Number> read_number(std::string_view text) {
  const auto digits = without_underscores(strip_left(strip_right(text)));
  // from_chars() knows "nan(1)", which Python does not.
  if (!digits || digits->find('(') != std::string::npos) return std::nullopt;
  const char* begin = digits->data();
  const char* end = begin + digits->size();
  // from_chars() takes no '+', and must not find a '-' behind one.
  if (begin != end && *begin == '+' && (++begin == end || *begin == '-')) return std::nullopt;
  Number number = 0;
  // from_chars() and not strtod(): no leading blanks, no hexadecimal, and the end is known.
  const auto [stop, failure] = std::from_chars(begin, end, number);
  if (stop != end) return std::nullopt;
  if constexpr (std::is_floating_point_v<Number>) {
    // Infinity or zero, as in Python; from_chars() does not say which.
    if (failure == std::errc::result_out_of_range) return std::strtod(begin, nullptr);
  }
  if (failure != std::errc()) return std::nullopt;
  return number;
}

Result<Value> filter_int(Context context, In subject, Given given) {
  const Value otherwise = nth(given, 0).is_undefined() ? Value::of(int64_t{0}) : nth(given, 0);
  auto base = whole_number_of(nth(given, 1), "base", 10);
  if (!base) return base.error();
  if (*base != 10) return Error{ErrorCode::kUnsupported, "int: bases other than 10"};
  if (const auto whole = subject.whole_number()) return Value::of(*whole);
  double real = 0;
  if (const MarkedText* text = subject.text()) {
    context.budget().spend_text(text->size());
    if (const auto whole = read_number<int64_t>(text->bytes())) return Value::of(*whole);
    const auto found = read_number<double>(text->bytes());
    if (!found) return otherwise;
    real = *found;
  } else if (const double* number = subject.floating()) {
    real = *number;
  } else {
    return otherwise;
  }
  // A conversion beyond 64 bits is undefined behavior; NaN fails the comparison as well.
  if (!(std::abs(real) < 9.2e18)) return otherwise;
  return Value::of(static_cast<int64_t>(real));
}

Result<Value> filter_float(Context context, In subject, Given given) {
  const Value otherwise = nth(given, 0).is_undefined() ? Value::of(0.0) : nth(given, 0);
  if (const auto number = subject.number()) return Value::of(*number);
  if (subject.text() == nullptr) return otherwise;
  context.budget().spend_text(subject.text()->size());
  const auto real = read_number<double>(subject.text()->bytes());
  return real ? Value::of(*real) : otherwise;
}

Result<Value> filter_abs(Context, In subject, Given) {
  const auto number = subject.number();
  if (!number) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("abs: expected a number, found {}", subject.kind_name())};
  }
  if (*number >= 0) return subject.whole_number() ? Value::of(*subject.whole_number()) : subject;
  return negate(subject);
}

Result<Value> filter_reverse(Context context, In subject, Given) {
  if (const MarkedText* text = subject.text()) {
    return context.heap.text(reverse(*text, &context.budget()));
  }
  auto items = elements_of(subject, &context.heap);
  if (!items) return items.error();
  items->reverse();
  return context.heap.list(std::move(*items));
}

constexpr FilterRow kFilters[] = {
    {"tojson", "ensure_ascii indent separators sort_keys", filter_tojson},
    {"from_json", "", filter_from_json},
    {"length", "", filter_length},
    {"count", "", filter_length},
    {"default", "default_value boolean", filter_default},
    {"d", "default_value boolean", filter_default},
    {"string", "", filter_string},
    {"safe", "", filter_safe},
    {"trim", "chars", filter_trim},
    {"upper", "", filter_upper},
    {"lower", "", filter_lower},
    {"capitalize", "", filter_capitalize},
    {"title", "", filter_title},
    {"replace", "old new count", filter_replace},
    {"indent", "width first blank", filter_indent},
    {"int", "default base", filter_int},
    {"float", "default", filter_float},
    {"abs", "", filter_abs},
    {"reverse", "", filter_reverse},
    {"list", "", filter_list},
    {"first", "", filter_first},
    {"last", "", filter_last},
    {"join", "d attribute", filter_join},
    {"items", "", filter_items},
    {"dictsort", "case_sensitive by reverse", filter_dictsort},
    {"sort", "reverse case_sensitive attribute", filter_sort},
    {"unique", "case_sensitive attribute", filter_unique},
    {"sum", "attribute start", filter_sum},
    {"min", "case_sensitive attribute", filter_min},
    {"max", "case_sensitive attribute", filter_max},
    {"map", "*", filter_map},
    {"select", "*", filter_select},
    {"reject", "*", filter_reject},
    {"selectattr", "*", filter_selectattr},
    {"rejectattr", "*", filter_rejectattr},
};

}  // namespace

const FilterRow* find_filter(std::string_view name) {
  for (const FilterRow& row : kFilters) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

Result<Value> run_filter(const FilterRow& filter, const CallContext& context, const Value& subject,
                         const Arguments& arguments) {
  // These pass arguments on to a filter or test that is not known before.
  if (filter.parameters == "*") return filter.run(context, subject, arguments);
  auto bound = bind_arguments(filter.name, filter.parameters, arguments);
  if (!bound) return bound.error();
  return filter.run(context, subject, *bound);
}

}  // namespace potluck
